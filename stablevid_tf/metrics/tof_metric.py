from typing import Any

import keras
import numpy as np

from stablevid_tf.metrics.flow import tof
from stablevid_tf.metrics.temporal_metric import TemporalMetric


@keras.saving.register_keras_serializable(package="stablevid_tf")
class TOF(TemporalMetric):
    """:func:`stablevid_tf.metrics.tof` averaged over clips [B, T, H, W, C], in pixels.

    Args:
        crop: as for :func:`stablevid_tf.metrics.tof`.
        clip, name: see :class:`TemporalMetric`.

    Example:
        >>> from stablevid_tf import metrics
        >>> metrics.TOF(crop=8).name
        'tof'
    """

    def __init__(
        self, crop: int | None = None, name: str = "tof", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.crop = crop

    def measure(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return tof(a, b, self.crop)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"crop": self.crop}
