import keras

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

    def __init__(self, crop=None, name="tof", **kwargs):
        super().__init__(name=name, **kwargs)
        self.crop = crop

    def measure(self, a, b):
        return tof(a, b, self.crop)

    def get_config(self):
        return super().get_config() | {"crop": self.crop}
