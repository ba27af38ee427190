"""Measures of motion: tOF and the warping error, by optical flow.

The flow is OpenCV's Farneback with the settings of TecoGAN's evaluation, so that tOF
can be compared with published numbers; scikit-image has no Farneback.
"""

import numpy as np
from numpy.typing import ArrayLike

# TecoGAN's: pyramid scale and levels, window, iterations, neighbourhood, its sigma.
_FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)
# Ruder et al., "Artistic Style Transfer for Videos", 2016.
_FORGIVEN, _SLACK = 0.01, 0.5
_EDGE, _EDGE_SLACK = 0.01, 0.002


def optical_flow(first, second):
    """How far each pixel of a frame moves to the next: Farneback, 2003, by OpenCV.

    Args:
        first, second: [H, W, 3 or 1] in [0, 1]; taken as 8-bit grey.

    Returns:
        float32 [H, W, 2], right and down in pixels.

    Raises:
        ImportError: OpenCV is not installed.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.metrics.flow import optical_flow
        >>> optical_flow(np.zeros((32, 32, 3)), np.zeros((32, 32, 3))).max()
        np.float32(0.0)
    """
    cv2 = _cv2()
    return cv2.calcOpticalFlowFarneback(
        _grey(cv2, first), _grey(cv2, second), None, *_FARNEBACK
    )


def tof(a: ArrayLike, b: ArrayLike, crop: int | None = None) -> np.ndarray:
    """How far the motion of two clips differs, in pixels a frame (tOF).

        tOF(t) = mean_p |flow(a_(t-1), a_t)(p) - flow(b_(t-1), b_t)(p)|

    Source: Chu et al., "Learning Temporal Coherence via Self-Supervision for GAN-based
    Video Generation" (TecoGAN), 2020. Frames are rounded to 8 bits, as there.

    Args:
        a, b: [..., T, H, W, 3 or 1] in [0, 1], at least two frames.
        crop: pixels to leave out at each border. None: as in TecoGAN's evaluation, at
            least 8, so that both sides are multiples of 32.

    Returns:
        float64 [..., T - 1], one value per pair of frames; 0 for equal motion.

    Raises:
        ValueError: shapes that differ, one frame only, or nothing left by the crop.
        ImportError: OpenCV is not installed.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import metrics
        >>> clip = np.random.default_rng(0).random((3, 48, 48, 3))
        >>> metrics.tof(clip, clip)
        array([0., 0.])
    """
    a, b = _clips(a, b)
    height, width = (_kept(side, crop) for side in a.shape[-3:-1])
    return _per_pair(a, b, lambda *frames: _tof(*frames)[height, width].mean())


def warping_error(truth: ArrayLike, restored: ArrayLike) -> np.ndarray:
    """How far a restored clip flickers along the motion of the true one.

        E(t) = mean_p (y_t(p) - y_(t+1)(p + w(p)))^2,    w = flow(x_t, x_(t+1))

    of restored ``y`` and true ``x``, over channels and those pixels ``p`` that are seen
    in both frames. Left out are pixels that leave the frame, are occluded,

        |w(p) + w'(p + w(p))|^2 > 0.01 (|w(p)|^2 + |w'(p + w(p))|^2) + 0.5,

    with ``w'`` the flow back, or lie on an edge of the motion, ``|grad w|^2 > 0.01
    |w|^2 + 0.002``. Source: Lai et al., "Learning Blind Video Temporal Consistency",
    2018, with Farneback's flow in place of theirs; the mask is Ruder et al.'s, 2016.
    ``warping_error(x, x)`` is what the flow itself leaves.

    Args:
        truth, restored: [..., T, H, W, 3 or 1] in [0, 1], at least two frames.

    Returns:
        float64 [..., T - 1], one value per pair of frames; NaN where nothing is seen in
        both, as at a cut.

    Raises:
        ValueError: shapes that differ, or one frame only.
        ImportError: OpenCV is not installed.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import metrics
        >>> still, flicker = np.zeros((2, 3, 32, 32, 1))
        >>> flicker[1] = 0.5
        >>> metrics.warping_error(still, flicker)
        array([0.25, 0.25])
    """
    truth, restored = _clips(truth, restored)
    return _per_pair(truth, restored, _warping_error)


def _tof(a0, a1, b0, b1):
    difference = optical_flow(a0, a1) - optical_flow(b0, b1)
    return np.sqrt((difference.astype("float64") ** 2).sum(-1))


def _warping_error(x0, x1, y0, y1):
    forth, back = optical_flow(x0, x1), optical_flow(x1, x0)
    rows, columns = np.mgrid[: x0.shape[0], : x0.shape[1]].astype("float32")
    right, down = columns + forth[..., 0], rows + forth[..., 1]
    inside = (right >= 0) & (right <= columns.max())
    inside &= (down >= 0) & (down <= rows.max())
    back = _at(back, right, down)
    square = lambda v: (v.astype("float64") ** 2).sum(-1)  # noqa: E731
    apart = square(forth + back)
    occluded = apart > _FORGIVEN * (square(forth) + square(back)) + _SLACK
    slopes = np.stack(np.gradient(forth, axis=(0, 1)), -1)
    edge = (slopes**2).sum((-1, -2)) > _EDGE * square(forth) + _EDGE_SLACK
    seen = inside & ~occluded & ~edge
    error = (y0 - _at(y1, right, down)) ** 2
    return error[seen].mean() if seen.any() else np.nan


def _at(image, right, down):
    """An image between its pixels, bilinearly; edges repeated."""
    cv2 = _cv2()
    image = image.astype("float32")
    moved = cv2.remap(image, right, down, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    # OpenCV drops a single channel.
    return moved.reshape(image.shape)


def _per_pair(a, b, function):
    lead, length = a.shape[:-4], a.shape[-4]
    a, b = (x.reshape(-1, *x.shape[-4:]) for x in (a, b))
    values = [
        [function(x[t], x[t + 1], y[t], y[t + 1]) for t in range(length - 1)]
        for x, y in zip(a, b, strict=True)
    ]
    return np.reshape(np.array(values, "float64"), (*lead, length - 1))


def _clips(a, b):
    a, b = (np.asarray(x) for x in (a, b))
    if a.shape != b.shape or a.ndim < 4 or a.shape[-4] < 2:
        raise ValueError(
            "Both must have the same shape [..., frames, height, width, channels], of "
            f"at least two frames. Received: {a.shape} and {b.shape}"
        )
    for x in (a, b):
        if not np.issubdtype(x.dtype, np.floating):
            raise ValueError(
                "Frames must be floating point in [0, 1]: divide integers by 255. "
                f"Received dtype: {x.dtype}"
            )
    return a, b


def _kept(side, crop):
    """The slice of an axis that is looked at."""
    if crop is None:
        left = (side - 16) // 32 * 32
        start = (side - left) // 2
    else:
        left, start = side - 2 * crop, crop
    if left < 1 or start < 0:
        raise ValueError(
            "tOF leaves out at least 8 pixels at each border, and multiples of 32 must "
            "remain: frames of 48 pixels or more, or say which crop. "
            f"Received: a side of {side} pixels, crop={crop}"
        )
    return slice(start, start + left)


def _grey(cv2, frame):
    frame = (np.clip(frame, 0, 1) * 255 + 0.5).astype(np.uint8)
    grey = frame.shape[-1] == 1
    return frame[..., 0] if grey else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _cv2():
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "Optical flow needs OpenCV, which is not installed: "
            'pip install "stablevid-tf[metrics]"'
        ) from error
    return cv2
