"""What every restoration model shares: checks, folding, configuration."""

import keras

from stablevid_tf import backend
from stablevid_tf.constraints import check_loops, folded_kernels, reparametrised


class Restorer(keras.Model):
    """A network over clips: [B, T, H, W, channels] -> [B, T, s H, s W, channels].

    Args:
        network: the layer that does the work, with ``channels``, ``scale``,
            ``window`` and ``constraint``.
    """

    def __init__(self, network, **kwargs):
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(autocast=False, **kwargs)
        self.network = network
        # On TensorFlow XLA slows a time loop on a CPU tenfold; Keras asks this.
        self.supports_jit = backend.XLA_PAYS

    @property
    def channels(self):
        """Image channels: 3 (RGB) or 1 (grey)."""
        return self.network.channels

    @property
    def scale(self):
        """Output pixels per input pixel along each axis."""
        return self.network.scale

    @property
    def window(self):
        """Input frames that one step sees."""
        return self.network.window

    @property
    def constraint(self):
        """The constraint the model was built with, or None."""
        return self.network.constraint

    def loops(self):
        """The feedback loops, a list of :class:`stablevid_tf.layers.loop.Loop`."""
        return self.network.loops()

    def build(self, input_shape=None):
        if not self.built:
            if getattr(self.constraint, "where", None) == "loop":
                check_loops(self.loops())
            self.network.build_by_call()
            self.built = True

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        sized = [n if n is None else n * self.scale for n in (height, width)]
        return (batch, time, *sized, self.channels)

    def compute_output_spec(self, frames, training=False):
        # float32 whatever the policy: frames are never rounded.
        return keras.KerasTensor(self.compute_output_shape(frames.shape), "float32")

    def check(self, frames, rank, axes):
        """Raise unless ``frames`` has the rank and the channels the model takes."""
        shape = tuple(frames.shape)
        dtype = keras.backend.standardize_dtype(frames.dtype)
        wrong = len(shape) != rank or shape[-1] not in (self.channels, None)
        if wrong or 0 in shape or "float" not in dtype:
            raise ValueError(
                f"{self.name} takes frames {axes} with {self.channels} channels, "
                f"float32 in [0, 1] (divide integers by 255). Received: {dtype} of "
                f"shape {shape}"
            )

    def fold(self):
        """A twin with plain convolutions that satisfy the constraint for good.

        Every SRN-C kernel's certified norm is at most alpha, every loop's certified
        gain at most its alpha, at any frame size. Made for inference and export;
        ``self`` is not changed.
        """
        if not reparametrised(self.network):
            return self
        config = self.get_config()
        if "constraint" not in config["network"]["config"]:
            raise ValueError(
                f"{type(self.network).__name__} holds constrained convolutions but "
                "has no `constraint` in its configuration, so no plain twin can be "
                "made. Fold its layers one by one with layer.fold()."
            )
        config["network"]["config"]["constraint"] = None
        twin = type(self).from_config(config)
        twin.build()
        kernels = folded_kernels(self.network)
        for mine, other in zip(convs(self.network), convs(twin.network), strict=True):
            other.kernel.assign(kernels.get(mine, mine.kernel))
            if mine.use_bias:
                other.bias.assign(mine.bias)
        return twin

    def adopt(self, folded):
        """Take a folded twin's weights: inference uses them exactly as they are.

        Training goes on from them, constrained as this model was built.
        """
        for mine, other in zip(convs(self.network), convs(folded.network), strict=True):
            if hasattr(mine, "adopt"):
                mine.adopt(other.kernel)
            else:
                mine.kernel.assign(other.kernel)
            if mine.use_bias:
                mine.bias.assign(other.bias)

    def get_config(self):
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "network": keras.saving.serialize_keras_object(self.network),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def convs(layer):
    """Every convolution below ``layer``, in a fixed order."""
    return [
        found
        for found in layer._flatten_layers(include_self=False)
        if hasattr(found, "kernel")
    ]
