import os
from collections.abc import Mapping
from typing import Any

import keras
from numpy.typing import ArrayLike

from stablevid_tf.metrics.frame_metric import FrameMetric
from stablevid_tf.metrics.lpips import lpips
from stablevid_tf.metrics.lpips_weights import lpips_weights


@keras.saving.register_keras_serializable(package="stablevid_tf")
class LPIPS(FrameMetric):
    """:func:`stablevid_tf.metrics.lpips` averaged over clips [B, T, H, W, 3].

    Args:
        weights, sha256: ``source`` and ``sha256`` of
            :func:`stablevid_tf.metrics.lpips_weights`. A metric that is to be saved
            needs a name here, not arrays.
        frames, crop, clip, name: see :class:`FrameMetric`.

    Example:
        >>> from stablevid_tf import metrics
        >>> metric = metrics.LPIPS("lpips_alex.npz", frames="last")  # doctest: +SKIP
        >>> metric.name                                             # doctest: +SKIP
        'lpips_last'
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | Mapping[str, ArrayLike],
        sha256: str | None = None,
        frames: str = "mean",
        crop: int = 0,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("y", False):
            raise ValueError("LPIPS is measured in RGB: leave y out")
        super().__init__(frames=frames, crop=crop, **kwargs)
        self._arrays = lpips_weights(weights, sha256)
        self._source, self._sha256 = weights, sha256

    def measure(self, a: Any, b: Any) -> Any:
        return lpips(a, b, self._arrays, crop=self.crop)

    def get_config(self) -> dict[str, Any]:
        if not isinstance(self._source, str):
            raise ValueError(
                "An LPIPS that was given arrays cannot be saved: give it a file's name"
            )
        config = super().get_config()
        config.pop("y")
        return config | {"weights": self._source, "sha256": self._sha256}
