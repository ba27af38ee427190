"""What every restoration model shares: checks, folding, configuration."""

import inspect
from typing import Any, Self

import keras
from keras import ops

from stablevid_tf import backend
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import (
    SRNC,
    check_holdable,
    effective_kernels,
    folded_kernels,
    reparametrised,
)
from stablevid_tf.layers.kernel_cache import cached_kernels
from stablevid_tf.layers.loop import Loop
from stablevid_tf.layers.weight_norm import WeightNorm

# What a network's configuration says of its convolutions, and says of plain ones.
_PLAIN = {"constraint": None, "weight_norm": False}


class Restorer(keras.Model):
    """A network over clips: [B, T, H, W, channels] -> [B, T, s H, s W, channels].

    Args:
        network: the layer that does the work, with ``channels``, ``scale``,
            ``window`` and ``constraint``.
    """

    def __init__(self, network: RecurrentVideoCell, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(autocast=False, **kwargs)
        self.network = network
        # On TensorFlow XLA slows a time loop on a CPU tenfold; Keras asks this.
        self.supports_jit = backend.XLA_PAYS

    @property
    def channels(self) -> int:
        """Image channels: 3 (RGB) or 1 (grey)."""
        return self.network.channels

    @property
    def frame_channels(self) -> int:
        """Channels of the frames it takes: an image's, and one for a noise map."""
        return getattr(self.network, "frame_channels", self.channels)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along each axis."""
        return self.network.scale

    @property
    def window(self) -> int:
        """Input frames that one step sees."""
        return self.network.window

    @property
    def constraint(self) -> SRNC | None:
        """The constraint the model was built with, or None."""
        return self.network.constraint

    def loops(self) -> list[Loop]:
        """The feedback loops, a list of :class:`stablevid_tf.layers.loop.Loop`."""
        return self.network.loops()

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            if getattr(self.constraint, "where", None) == "loop":
                for loop in self.loops():
                    check_holdable(loop)
            self.network.build_by_call()
            self.built = True

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        # Callbacks save and restore weights before the first step.
        self.build()
        call = inspect.signature(super().fit).bind(*args, **kwargs)
        given = call.arguments
        if isinstance(given.get("x"), keras.utils.PyDataset):
            options = {k: given[k] for k in ("shuffle", "class_weight") if k in given}
            given["x"] = backend.fed(given["x"], **options)
        if isinstance(given.get("validation_data"), keras.utils.PyDataset):
            watched = backend.fed(given["validation_data"], shuffle=False)
            given["validation_data"] = watched
        return super().fit(*call.args, **call.kwargs)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        margins = 0
        if isinstance(input_shape, dict):
            input_shape, margins = input_shape["frames"], self.window - 1
        batch, time, height, width, _ = input_shape
        time = time and time - margins
        sized = [n if n is None else n * self.scale for n in (height, width)]
        return (batch, time, *sized, self.channels)

    def compute_output_spec(
        self, frames: Any, training: bool = False
    ) -> keras.KerasTensor:
        # float32 whatever the policy: frames are never rounded.
        if isinstance(frames, dict):
            shape = {"frames": frames["frames"].shape}
        else:
            shape = frames.shape
        return keras.KerasTensor(self.compute_output_shape(shape), "float32")

    def taken(self, clip: Any) -> tuple[Any, list | None]:
        """What ``call`` was given: ``(frames, states or None)``; checked.

        Args:
            clip: frames [B, T, H, W, channels]; or ``{"frames": ..., "state": ...}``,
                a clip out of a longer video and the numbers of the states around it
                (:meth:`stablevid_tf.cells.RecurrentVideoCell.restore_from`), a flat
                tuple. They come as float32 or float16 and are cast to what they were.
        """
        alone = not isinstance(clip, dict)
        frames = clip if alone else clip["frames"]
        self.check(frames, 5, "[batch, time, height, width, channels]")
        if alone:
            return frames, None
        starts = [start(frames[:, 0]) for start, _, _ in self.network.ways()]
        leaves = [
            ops.cast(given, start.dtype)
            for given, start in zip(
                clip["state"], keras.tree.flatten(starts), strict=True
            )
        ]
        return frames, keras.tree.pack_sequence_as(starts, leaves)

    def check(self, frames: Any, rank: int, axes: str) -> None:
        """Raise unless ``frames`` has the rank and the channels the model takes."""
        shape = tuple(frames.shape)
        dtype = keras.backend.standardize_dtype(frames.dtype)
        wrong = len(shape) != rank or shape[-1] not in (self.frame_channels, None)
        if wrong or 0 in shape or "float" not in dtype:
            raise ValueError(
                f"{self.name} takes frames {axes} with {self.frame_channels} channels, "
                f"float32 in [0, 1] (divide integers by 255){self._mapped()}. "
                f"Received: {dtype} of shape {shape}"
            )

    def _mapped(self):
        if self.frame_channels == self.channels:
            return ""
        return "; the last is the noise map, which models.at_noise_level fills in"

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Keras' loss; where the network also makes ``auxiliary(frames)``, of both.

        Auxiliary pictures [B, T, s H, s W, C] are held to the same target: the loss is
        the mean over them and the restored frames.
        """
        if hasattr(self.network, "auxiliary"):
            before, half = 0, self.window // 2
            x, states = self.taken(x)
            if states is not None:
                x = x[:, half : ops.shape(x)[1] - half]
                if self.network.frame_number is not None:
                    before = states[0]["number"]
            with cached_kernels(effective_kernels(self.network)):
                y_pred = _joined(y_pred, self.network.auxiliary(x, before))
            y = _joined(y, y)
            if sample_weight is not None:
                sample_weight = _joined(sample_weight, sample_weight)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def fold(self) -> Self:
        """A twin with plain convolutions that satisfy the constraint for good.

        Every SRN-C kernel's certified norm is at most alpha, every loop's certified
        gain at most its alpha, at any frame size. Weight normalisation is folded in;
        what is no convolution is copied. Made for inference and export; ``self`` is not
        changed.
        """
        if not reparametrised(self.network):
            return self
        twin = type(self).from_config(_plain(self.get_config()))
        twin.build()
        if reparametrised(twin.network):
            raise ValueError(
                f"{type(self.network).__name__} holds constrained convolutions but "
                "has no `constraint` in its configuration, so no plain twin can be "
                "made. Fold its layers one by one with layer.fold()."
            )
        kernels = folded_kernels(self.network)
        for mine, other in zip(convs(self.network), convs(twin.network), strict=True):
            other.kernel.assign(ops.copy(kernels.get(mine, mine.kernel)))
            if mine.use_bias:
                other.bias.assign(ops.copy(mine.bias))
        _copy_rest(self.network, twin.network)
        return twin

    def adopt(self, folded: Self) -> None:
        """Take a folded twin's weights: inference uses them exactly as they are.

        Training goes on from them, constrained as this model was built.
        """
        for mine, other in zip(convs(self.network), convs(folded.network), strict=True):
            if hasattr(mine, "adopt"):
                mine.adopt(ops.copy(other.kernel))
            else:
                mine.kernel.assign(ops.copy(other.kernel))
            if mine.use_bias:
                mine.bias.assign(ops.copy(other.bias))
        _copy_rest(folded.network, self.network)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "network": keras.saving.serialize_keras_object(self.network),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = dict(config)
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def _joined(a, b):
    """Two batches, one behind the other."""
    return ops.concatenate([a, b], axis=0)


def convs(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every convolution below ``layer``, in a fixed order; none that another wraps."""
    found = [
        each
        for each in layer._flatten_layers(include_self=False)
        if hasattr(each, "kernel")
    ]
    wrapped = {id(each.conv) for each in found if isinstance(each, WeightNorm)}
    return [each for each in found if id(each) not in wrapped]


def _plain(config):
    """A configuration, networks inside networks too, with plain convolutions."""
    if isinstance(config, dict):
        return {key: _PLAIN.get(key, _plain(value)) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_plain(value) for value in config)
    return config


def _copy_rest(source, target):
    """Copy what is no convolution's: batch normalisation's scales and statistics."""
    # Copied, here and above: on JAX two variables would share one buffer, which the
    # training of either one gives away.
    for mine, other in zip(_rest(source), _rest(target), strict=True):
        other.assign(ops.copy(mine))


def _rest(layer):
    of_convs = {id(w) for conv in convs(layer) for w in conv.weights}
    return [w for w in layer.weights if id(w) not in of_convs]
