"""A still picture made to move."""

import math

import numpy as np


def margin(frames, motion):
    """Pixels around a clip that :func:`drift` may look at.

    Args:
        frames: frames per clip.
        motion: greatest speed along one axis, in pixels a frame.
    """
    return math.ceil((frames - 1) / 2 * motion) + 2


def drift(image, frames, size, velocity):
    """A clip panning over a picture, by cubic convolution (Keys, a = -1/2).

    Frame ``t`` is the picture seen through a window of ``size`` x ``size`` pixels
    whose centre is at ``velocity * (t - (frames - 1) / 2)`` from the picture's own.

    Args:
        image: [H, W, C], larger than the window by :func:`margin` on each side.
        frames: frames of the clip.
        size: side of the window in pixels.
        velocity: (down, right), pixels a frame.

    Returns:
        float32 [frames, size, size, C], in the picture's own range and clipped to
        0...255.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.synthetic_motion import drift
        >>> drift(np.zeros((12, 12, 3)), frames=3, size=8, velocity=(0.5, 0.0)).shape
        (3, 8, 8, 3)
    """
    times = np.arange(frames) - (frames - 1) / 2
    down = _weights(times * velocity[0], image.shape[0], size)
    right = _weights(times * velocity[1], image.shape[1], size)
    rows = np.tensordot(down, image.astype("float32"), axes=1)
    clip = np.einsum("tjx,tixc->tijc", right, rows, optimize=True)
    return np.clip(clip, 0, 255)


def _weights(offsets, length, size):
    """Interpolation matrices [T, size, length] for windows at these offsets."""
    start = (length - size) / 2 + offsets
    places = start[:, None] + np.arange(size)
    x = np.abs(places[..., None] - np.arange(length))
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0)).astype("float32")
