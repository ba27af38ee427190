import os
from typing import Any

import keras
from keras import ops

from stablevid_tf.training.replaced import replaced


class AveragedWeights(keras.callbacks.Callback):
    """Save the moving average of the weights, that an optimiser with `use_ema` keeps.

    The average usually restores better than the weights themselves. The file is
    written at the end of every epoch, whole or not at all; training is not changed.

    Args:
        path: of the file, ending in `.weights.h5`.

    Raises:
        ValueError: the optimiser keeps no average.

    Example:
        >>> import keras
        >>> from stablevid_tf.training import AveragedWeights
        >>> optimizer = keras.optimizers.Adam(1e-3, use_ema=True)
        >>> callback = AveragedWeights("averaged.weights.h5")
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = path

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self.model.optimizer.use_ema:
            raise ValueError(
                "AveragedWeights needs an optimiser that keeps a moving average. "
                "Received: use_ema=False. Use keras.optimizers.Adam(..., use_ema=True)"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        getattr(self.model, "jax_state_sync", lambda: None)()
        optimizer, trained = self.model.optimizer, self.model.trainable_variables
        before = [ops.copy(variable) for variable in trained]
        averages = optimizer._model_variables_moving_average
        for variable, average in zip(trained, averages, strict=True):
            variable.assign(average)
        try:
            # Without the optimiser's state.
            bare = self.model.optimizer
            self.model.optimizer = None
            with replaced(self.path) as partial:
                self.model.save_weights(partial, overwrite=True)
        finally:
            self.model.optimizer = bare
            for variable, value in zip(trained, before, strict=True):
                variable.assign(value)
