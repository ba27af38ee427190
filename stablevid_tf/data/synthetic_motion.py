"""A still picture made to move."""

import math

import numpy as np


def window(image, place, size):
    """What is seen of a picture through a square window between its pixels.

    Cubic convolution (Keys, 1981, a = -1/2); exact where the place is whole.

    Args:
        image: [H, W, C], floating.
        place: (row, column) of the window's first pixel; one pixel before it and two
            behind its last one are needed along an axis where it is not whole.
        size: side of the window in pixels.

    Returns:
        [size, size, C], the picture's own type; it may leave the picture's range.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.synthetic_motion import window
        >>> ramp = np.arange(8.0).reshape(8, 1, 1) * np.ones((8, 8, 1))
        >>> window(ramp, (1.25, 2), size=4)[:, 0, 0]
        array([1.25, 2.25, 3.25, 4.25])
    """
    for axis, start in enumerate(place):
        image = _slide(image, axis, start, size)
    return image


def margin(frames, motion):
    """Pixels around a clip that :func:`drift` may look at.

    Args:
        frames: frames per clip.
        motion: greatest speed along one axis, in pixels a frame.
    """
    return math.ceil((frames - 1) / 2 * motion) + 2


def drift(image, frames, size, velocity):
    """A clip of a window that drifts over a picture, through its middle.

    Frame ``t`` is the picture seen through a window of ``size`` x ``size`` pixels
    whose centre is at ``velocity * (t - (frames - 1) / 2)`` from the picture's own.

    Args:
        image: [H, W, C] in 0...255, larger than the window by :func:`margin` on each
            side.
        frames: frames of the clip.
        size: side of the window in pixels.
        velocity: (down, right), pixels a frame.

    Returns:
        float32 [frames, size, size, C], clipped to 0...255.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.synthetic_motion import drift
        >>> drift(np.zeros((12, 12, 3)), frames=3, size=8, velocity=(0.5, 0.0)).shape
        (3, 8, 8, 3)
    """
    times = np.arange(frames) - (frames - 1) / 2
    return follow(image, ([t * v for v in velocity] for t in times), size)


def follow(image, places, size):
    """A clip of a window that is led over a picture, about its middle.

    Args:
        image: [H, W, C] in 0...255.
        places: iterable of (down, right), for each frame the window's centre from the
            picture's own in pixels.
        size: side of the window in pixels.

    Returns:
        float32 [frames, size, size, C], clipped to 0...255.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.synthetic_motion import follow
        >>> follow(np.zeros((12, 12, 3)), [(0, 0), (0.5, -1)], size=8).shape
        (2, 8, 8, 3)
    """
    image = image.astype("float32")
    middle = [(side - size) / 2 for side in image.shape[:2]]
    clip = []
    for place in places:
        place = [m + p for m, p in zip(middle, place, strict=True)]
        clip.append(window(image, place, size))
    return np.clip(np.stack(clip), 0, 255)


def _slide(image, axis, place, size):
    """``size`` pixels along an axis, from ``place`` on."""
    first = math.floor(place)
    x = place - first
    if not x:
        return image.take(range(first, first + size), axis)
    keys = (
        (-x + 2 * x**2 - x**3) / 2,
        (2 - 5 * x**2 + 3 * x**3) / 2,
        (x + 4 * x**2 - 3 * x**3) / 2,
        (-(x**2) + x**3) / 2,
    )
    return sum(
        np.float32(weight) * image.take(range(at, at + size), axis)
        for at, weight in enumerate(keys, first - 1)
    )
