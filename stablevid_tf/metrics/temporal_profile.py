import os
from collections.abc import Iterable

import numpy as np


def temporal_profile(
    frames: Iterable[np.ndarray],
    row: int | None = None,
    path: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """One row of every frame, one under another: what flickers shows as stripes.

        P(t, x) = y_t(row, x)

    Args:
        frames: iterable of [H, W, C], in [0, 1]; looked at one after another.
        row: which, from 0; the middle one if None.
        path: a PNG file to write it to, clipped and rounded to 8 bits.

    Returns:
        [T, W, C], as the frames.

    Raises:
        ValueError: no frames, of several shapes, or without this row.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import metrics
        >>> metrics.temporal_profile(np.zeros((5, 32, 48, 3)), row=10).shape
        (5, 48, 3)
    """
    rows, shape = [], None
    for frame in frames:
        shape = frame.shape if shape is None else shape
        row = shape[0] // 2 if row is None else row
        if frame.ndim != 3 or frame.shape != shape or not 0 <= row < shape[0]:
            raise ValueError(
                "A temporal profile is made of frames [height, width, channels] of one "
                f"size, by one of their rows. Received: frames of shape {shape} and "
                f"{frame.shape}, row={row}"
            )
        rows.append(np.array(frame[row]))
    if not rows:
        raise ValueError("A temporal profile needs frames. Received: none")
    profile = np.stack(rows)
    if path is not None:
        save_picture(profile, path)
    return profile


def save_picture(image, path):
    """[H, W, 3 or 1] in [0, 1] as a PNG, clipped and rounded to 8 bits."""
    from PIL import Image

    pixels = (np.clip(np.nan_to_num(image), 0, 1) * 255 + 0.5).astype(np.uint8)
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    Image.fromarray(pixels).save(path, format="PNG")
