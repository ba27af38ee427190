"""A metric over clips: which frames it looks at, and their mean."""

from typing import Any

import keras
from keras import ops

_FRAMES = {"first": slice(0, 1), "last": slice(-1, None), "mean": slice(None)}


class FrameMetric(keras.metrics.Mean):
    """Mean over clips of a function of frames.

    Args:
        frames: ``"first"``, ``"last"`` or ``"mean"`` (every frame).
        y: luma instead of RGB.
        crop: pixels to leave out at each border.
        clip: clip predictions to [0, 1], as a written picture would be.
        name: default says what is measured, e.g. ``psnr_last_y``.
    """

    def __init__(
        self,
        frames: str = "mean",
        y: bool = False,
        crop: int = 0,
        clip: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if frames not in _FRAMES:
            raise ValueError(
                f"frames must be one of {sorted(_FRAMES)}. Received: {frames!r}"
            )
        base = f"{type(self).__name__.lower()}_{frames}{'_y' if y else ''}"
        super().__init__(name=name or base, **kwargs)
        self.frames = frames
        self.y = y
        self.crop = crop
        self.clip = clip

    def measure(self, a: Any, b: Any) -> Any:
        """The function of two clips [B, T, H, W, C], one value per frame."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        chosen = _FRAMES[self.frames]
        truth = ops.cast(y_true, "float32")[:, chosen]
        restored = ops.cast(y_pred, "float32")[:, chosen]
        if self.clip:
            restored = ops.clip(restored, 0.0, 1.0)
        return super().update_state(self.measure(truth, restored), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "frames": self.frames,
            "y": self.y,
            "crop": self.crop,
            "clip": self.clip,
        }
