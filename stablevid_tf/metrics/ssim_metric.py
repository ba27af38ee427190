from typing import Any

import keras

from stablevid_tf.metrics.frame_metric import FrameMetric
from stablevid_tf.metrics.functions import ssim


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SSIM(FrameMetric):
    """:func:`stablevid_tf.metrics.ssim` averaged over clips [B, T, H, W, C].

    Args: see :class:`FrameMetric`.

    Example:
        >>> from stablevid_tf import metrics
        >>> metrics.SSIM(frames="last", y=True).name
        'ssim_last_y'
    """

    def measure(self, a: Any, b: Any) -> Any:
        return ssim(a, b, y=self.y, crop=self.crop)
