from typing import Any

import keras

from stablevid_tf.metrics.frame_metric import FrameMetric
from stablevid_tf.metrics.functions import psnr


@keras.saving.register_keras_serializable(package="stablevid_tf")
class PSNR(FrameMetric):
    """:func:`stablevid_tf.metrics.psnr` averaged over clips [B, T, H, W, C].

    Args: see :class:`FrameMetric`.

    Example:
        >>> from stablevid_tf import metrics
        >>> metrics.PSNR(frames="last", y=True).name
        'psnr_last_y'
    """

    def measure(self, a: Any, b: Any) -> Any:
        return psnr(a, b, y=self.y, crop=self.crop)
