"""Sequences of any length that try a recurrent model, made from pictures or a clip.

Each function gives an iterator of [H, W, C] float32 frames in [0, 1], made one at a
time. Pictures are [H, W, C], uint8 or floating in [0, 1].

Sources: ``stills``, Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent
Video Processing", appendix H. ``pan``, ``gamma`` (section III) and ``ping_pong``
(section VI-A), Mori and Ukita, "Time-series Initialization and Conditioning for
Video-agnostic Stabilization of Video Super-Resolution using Recurrent Networks".
``camera``, appendix G of the former: see :class:`stablevid_tf.data.CameraPath`.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from stablevid_tf.data.camera_path import CameraPath
from stablevid_tf.data.synthetic_motion import window


def still(image: ArrayLike, frames: int) -> Iterator[np.ndarray]:
    """One still scene: :func:`stills` with a single picture.

    Args:
        image: [H, W, C].
        frames: how many.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import sequences
        >>> len(list(sequences.still(np.zeros((8, 8, 3)), frames=5)))
        5
    """
    return stills([image], frames)


def stills(images: Iterable[ArrayLike], frames: int = 2048) -> Iterator[np.ndarray]:
    """``n`` distinct still pictures, one after another, equally long (appendix H).

    Frame ``t`` of ``T`` is picture ``floor(t n / T)``: one picture is a still scene,
    two make one change in the middle, ``T`` a new scene at every frame.

    Args:
        images: pictures of one size, at most ``frames`` of them.
        frames: how many frames.

    Raises:
        ValueError: no pictures, too many, or of several sizes.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import sequences
        >>> pictures = [np.full((1, 1, 1), v) for v in (0.25, 0.5)]
        >>> [float(f[0, 0, 0]) for f in sequences.stills(pictures, frames=5)]
        [0.25, 0.25, 0.25, 0.5, 0.5]
    """
    images = _pictures(images)
    _check_count(frames)
    if len(images) > frames:
        raise ValueError(
            f"{len(images)} distinct pictures do not fit into {frames} frames; give "
            "fewer pictures or more frames"
        )
    return (images[t * len(images) // frames] for t in range(frames))


def pan(
    image: ArrayLike, frames: int, velocity: tuple[float, float], size: int
) -> Iterator[np.ndarray]:
    """A window that slides over a picture, back and forth (motion).

    Along an axis of ``length`` pixels the window's first pixel is at

        p(t) = 1 + R - |R - (v t mod 2R)|,    R = length - size - 2,

    from the far end where ``v`` is negative; where ``v`` is 0, in the middle. Between
    pixels by cubic convolution (Keys, 1981, a = -1/2), clipped to [0, 1].

    Args:
        image: [H, W, C], at least 3 pixels larger than the window where it moves.
        frames: how many.
        velocity: (down, right), pixels a frame.
        size: side of the window in pixels.

    Raises:
        ValueError: the picture has no room for the window.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import sequences
        >>> ramp = np.broadcast_to(np.arange(8.0)[:, None] / 8, (4, 8, 1))
        >>> slide = sequences.pan(ramp, frames=5, velocity=(0, 1), size=4)
        >>> [float(8 * f[0, 0, 0]) for f in slide]
        [1.0, 2.0, 3.0, 2.0, 1.0]
    """
    (image,) = _pictures([image])
    _check_count(frames)
    sides = list(zip(image.shape[:2], velocity, strict=True))
    for length, speed in sides:
        room = 3 if speed else 0
        if size < 1 or length < size + room:
            raise ValueError(
                f"A window of {size} pixels needs a picture of at least {size + 3} "
                f"pixels along an axis it slides along, {size} along another. "
                f"Received: a picture of shape {image.shape}, velocity={velocity}"
            )

    def place(t):
        return [_place(length, size, speed, t) for length, speed in sides]

    return (np.clip(window(image, place(t), size), 0, 1) for t in range(frames))


def camera(
    image: ArrayLike, frames: int | None, path: CameraPath, size: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """A window led over a picture as by an unsteady hand (appendix G).

    Frame ``t`` is seen at place ``t`` of the path, from the picture's middle; between
    pixels by cubic convolution (Keys, 1981, a = -1/2), clipped to [0, 1].

    Args:
        image: [H, W, C], ``path.margin`` pixels larger than the window on each side.
        frames: how many, or None to go on for ever.
        path: a :class:`stablevid_tf.data.CameraPath`.
        size: side of the window in pixels.
        seed: integer; the sequence is a function of it.

    Raises:
        ValueError: the picture has no room for the path.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import CameraPath, sequences
        >>> path = CameraPath(speed=0.5, reach=4)
        >>> video = sequences.camera(np.zeros((32, 32, 3)), None, path, size=16)
        >>> next(video).shape
        (16, 16, 3)
    """
    (image,) = _pictures([image])
    if frames is not None:
        _check_count(frames)
    needed = size + 2 * path.margin
    if size < 1 or min(image.shape[:2]) < needed:
        raise ValueError(
            f"A window of {size} pixels on a path that reaches {path.reach} pixels far "
            f"needs a picture of at least {needed} pixels a side. "
            f"Received: a picture of shape {image.shape}"
        )
    middle = [(side - size) / 2 for side in image.shape[:2]]
    places = itertools.islice(path.places(np.random.default_rng(seed)), frames)

    def place(at):
        return [m + p for m, p in zip(middle, at, strict=True)]

    return (np.clip(window(image, place(at), size), 0, 1) for at in places)


def ping_pong(clip: Iterable[ArrayLike], frames: int) -> Iterator[np.ndarray]:
    """A clip played forwards and backwards for ever (the "Composit" videos).

    ``f1, f2, ..., fN-1, fN, fN-1, ..., f2, f1, f2, ...``

    Args:
        clip: [T, H, W, C] or an iterable of pictures of one size; held in memory.
        frames: how many frames.

    Raises:
        ValueError: no pictures, or of several sizes.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import sequences
        >>> clip = np.arange(3.0).reshape(3, 1, 1, 1) / 4
        >>> [float(4 * f[0, 0, 0]) for f in sequences.ping_pong(clip, frames=7)]
        [0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0]
    """
    clip = _pictures(clip)
    _check_count(frames)
    order = itertools.cycle([*range(len(clip)), *range(len(clip) - 2, 0, -1)])
    return (clip[i] for i in itertools.islice(order, frames))


def gamma(
    image: ArrayLike,
    frames: int,
    low: float = 0.5,
    high: float = 2.0,
    period: float = 100,
) -> Iterator[np.ndarray]:
    """A picture gradually darkened and brightened (intensity change).

        f(t) = image^g(t),    g(t) = low (high / low)^((1 - cos(2 pi t / period)) / 2)

    The paper gives the greatest and the least gamma; the way between them is ours.

    Args:
        image: [H, W, C], or a clip [T, H, W, C], which is played back and forth.
        frames: how many.
        low, high: the range of gamma; below 1 brightens.
        period: frames from brightest to brightest.

    Raises:
        ValueError: a gamma or a period that is not positive.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import sequences
        >>> change = sequences.gamma(np.full((1, 1, 1), 0.25), frames=3, period=4)
        >>> [round(float(f[0, 0, 0]), 4) for f in change]
        [0.5, 0.25, 0.0625]
    """
    if not 0 < low <= high or period <= 0:
        raise ValueError(
            "gamma runs from low to high, 0 < low <= high, in a positive period. "
            f"Received: low={low}, high={high}, period={period}"
        )
    clip = image if np.ndim(image) == 4 else [image]
    return (
        frame ** np.float32(low * (high / low) ** _cosine(t / period))
        for t, frame in enumerate(ping_pong(clip, frames))
    )


def _cosine(turn):
    """From 0 to 1 and back, once a turn."""
    return (1 - math.cos(2 * math.pi * turn)) / 2


def _place(length, size, speed, t):
    """Where the window begins, in pixels."""
    if not speed:
        return (length - size) // 2
    reach = length - size - 2
    start = 0 if speed > 0 else reach
    return 1 + reach - abs(reach - (start + speed * t) % (2 * reach))


def _pictures(images):
    """The pictures as a list of float32 arrays; checked."""
    images = [_picture(image) for image in images]
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise ValueError(
            "A sequence is made from at least one picture, all of one size. Received: "
            f"{len(images)} pictures of shapes {sorted(shapes)}"
        )
    return images


def _picture(image):
    image = np.asarray(image)
    if image.dtype == np.uint8:
        image = image / np.float32(255)
    floating = np.issubdtype(image.dtype, np.floating)
    if image.ndim != 3 or not image.size or not floating:
        raise ValueError(
            "A picture is [height, width, channels], uint8 or floating. "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    if not np.all((image >= 0) & (image <= 1)):
        raise ValueError(
            "A floating picture has values in [0, 1]; divide by 255 those of 0...255. "
            f"Received: values from {image.min()} to {image.max()}"
        )
    return image.astype("float32", copy=False)


def _check_count(frames):
    if not isinstance(frames, int) or frames < 1:
        raise ValueError(f"frames is a positive integer. Received: {frames!r}")
