"""Losses for restoration."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stablevid_tf")
class Charbonnier(keras.losses.Loss):
    """``mean sqrt((y - x)^2 + epsilon^2)``: an absolute error, smooth at zero.

    Source: Charbonnier et al., "Two Deterministic Half-Quadratic Regularization
    Algorithms for Computed Imaging".

    Args:
        epsilon: in the image's own units ([0, 1]).
        **kwargs: as in ``keras.losses.Loss``.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.losses import Charbonnier
        >>> zero, one = np.zeros((1, 2, 4, 4, 3)), np.ones((1, 2, 4, 4, 3))
        >>> round(float(Charbonnier(epsilon=0.0)(zero, one)), 3)
        1.0
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, y_true: Any, y_pred: Any) -> Any:
        difference = y_pred - ops.cast(y_true, y_pred.dtype)
        return ops.mean(ops.sqrt(difference**2 + self.epsilon**2), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"epsilon": self.epsilon}
