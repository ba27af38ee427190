"""A metric over pairs of frames that follow one another."""

from typing import Any

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend


class TemporalMetric(keras.metrics.Mean):
    """Mean over clips of a NumPy function of their pairs of frames.

    It is computed on the host, also inside ``fit``; pairs without a value (NaN) are
    left out of a clip's mean, and clips without any count as 0 weight.

    Args:
        clip: clip predictions to [0, 1], as a written picture would be.
        name: default says what is measured.
    """

    def __init__(
        self, clip: bool = True, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.clip = clip

    def measure(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The function of two NumPy clips [B, T, H, W, C], one value per pair."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        truth, restored = (ops.cast(x, "float32") for x in (y_true, y_pred))
        if self.clip:
            restored = ops.clip(restored, 0.0, 1.0)
        pair = backend.on_host(self._means, (2, truth.shape[0]), truth, restored)
        values, known = pair[0], pair[1]
        if sample_weight is not None:
            known = known * ops.cast(sample_weight, "float32")
        return super().update_state(values, known)

    def _means(self, truth, restored):
        """Each clip's mean, and whether it has one."""
        values = self.measure(truth, restored)
        known = np.isfinite(values)
        sums = np.where(known, values, 0).sum(1)
        return np.stack([sums / np.maximum(known.sum(1), 1), known.any(1)])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"clip": self.clip}
