from typing import Any

import keras
import numpy as np

from stablevid_tf.metrics.flow import warping_error
from stablevid_tf.metrics.temporal_metric import TemporalMetric


@keras.saving.register_keras_serializable(package="stablevid_tf")
class WarpingError(TemporalMetric):
    """:func:`stablevid_tf.metrics.warping_error` averaged over clips [B, T, H, W, C].

    Args: see :class:`TemporalMetric`.

    Example:
        >>> from stablevid_tf import metrics
        >>> metrics.WarpingError().name
        'warping_error'
    """

    def __init__(self, name: str = "warping_error", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def measure(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return warping_error(a, b)
