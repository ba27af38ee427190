from typing import Any

import keras
from keras import ops

from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.cells.unroll import unroll
from stablevid_tf.constraints import effective_kernels
from stablevid_tf.layers.kernel_cache import cached_kernels
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer


@keras.saving.register_keras_serializable(package="stablevid_tf")
class CarryState(RecurrentRestorer):
    """A restorer that continues from the state of the last batch, for `TBPTT`.

    It shares the weights of its model, so training it trains that model; save and use
    the model afterwards. The state after a batch is kept in non-trainable weights, so
    that a resumed run continues from it (`training.Resume`).

    Args:
        network: a `models.RecurrentRestorer`, or its cell.
        batch_size: clips per batch.
        size: side of the square in pixels of the target.

    Call arguments:
        frames: clips of `TBPTT`; or plain frames, as for the model itself.

    Raises:
        ValueError: the model cannot run frame by frame, or has no memory.

    Example: see `TBPTT`.
    """

    def __init__(
        self,
        network: RecurrentRestorer | RecurrentVideoCell,
        batch_size: int,
        size: int,
        **kwargs: Any,
    ) -> None:
        network = getattr(network, "network", network)
        if not network.causal:
            raise ValueError(
                f"{type(network).__name__} runs through a clip both ways, so its state "
                "depends on later frames and cannot be carried from batch to batch. "
                "Train it with stablevid_tf.training.PIBPTT."
            )
        super().__init__(network, **kwargs)
        self.batch_size = batch_size
        self.size = size
        side = size // network.scale
        start = network.start(ops.zeros((batch_size, side, side, network.channels)))
        leaves = keras.tree.flatten(start)
        if not leaves:
            raise ValueError(
                f"{type(network).__name__} carries no state from frame to frame. Train "
                "it on clips, with stablevid_tf.data.ClipDataset."
            )
        self.carried = [
            self.add_weight(
                shape=leaf.shape,
                dtype=keras.backend.standardize_dtype(leaf.dtype),
                initializer="zeros",
                trainable=False,
                name=f"carried_{i}",
            )
            for i, leaf in enumerate(leaves)
        ]

    def taken(self, clip: Any) -> tuple[Any, list | None]:
        if not isinstance(clip, dict):
            return super().taken(clip)
        frames, first, number = clip["frames"], clip["first"], clip["number"]
        self.check(frames, 5, "[batch, time, height, width, channels]")
        start = self.cell.start(frames[:, 0], number)
        kept = keras.tree.pack_sequence_as(
            start, [ops.convert_to_tensor(leaf) for leaf in self.carried]
        )

        def chosen(new, old):
            mask = ops.reshape(first, (-1,) + (1,) * (len(new.shape) - 1))
            return ops.where(mask, new, old)

        state = keras.tree.map_structure(chosen, start, kept)
        if self.cell.frame_number is not None:
            state = {**state, "number": start["number"]}
        return frames, [state]

    def call(self, frames: Any, training: bool = False) -> Any:
        if not isinstance(frames, dict):
            return super().call(frames, training)
        seen, (state,) = self.taken(frames)
        with cached_kernels(effective_kernels(self.cell, training)):
            restored, state = unroll(self.cell, seen, state, training, margins=True)
        if training:
            for weight, leaf in zip(
                self.carried, keras.tree.flatten(state), strict=True
            ):
                weight.assign(ops.stop_gradient(leaf))
        return restored

    def fit(
        self, *args: Any, shuffle: bool = False, **kwargs: Any
    ) -> keras.callbacks.History:
        if shuffle:
            raise ValueError(
                "The state after a batch belongs to the next batch, so batches must "
                f"come in order. Received: shuffle={shuffle!r}. Use shuffle=False"
            )
        return super().fit(*args, shuffle=False, **kwargs)

    def get_config(self) -> dict[str, Any]:
        sizes = {"batch_size": self.batch_size, "size": self.size}
        return super().get_config() | sizes
