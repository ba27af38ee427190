import collections
import os
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import tqdm
from keras import ops
from numpy.typing import ArrayLike

from stablevid_tf.data import open_video
from stablevid_tf.diagnostics.long_run_result import LongRunResult
from stablevid_tf.diagnostics.long_run_state import LongRunState
from stablevid_tf.diagnostics.noisy import noisy
from stablevid_tf.diagnostics.subject import Subject

_SHORTEST = 50
_SAVE_EVERY = 1000

# Noise of sigma 100/255 stays within; values of 0..255 do not.
_LIMIT = 4.0


def long_run(
    model: Any,
    frames: str | os.PathLike[str] | Iterable[ArrayLike],
    reference: str | os.PathLike[str] | Iterable[ArrayLike] | None = None,
    sigma: float | None = None,
    drop: float | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> LongRunResult:
    """Run a model over a long video and test whether it diverges or drifts.

    Both are judged on the raw output, before any clipping.

    Divergence (Tanay et al., section 3.1): the PSNR of a frame is below 0 dB, or the
    frame is not finite. The state of the sequence is then set to zero and the run goes
    on. The onset is the number of frames since the state was last zero. A run that
    ends without a divergence adds no onset.

    Drift: at intervals (every tenth frame at first, then a quarter later each time, in
    the end every 500 frames) the model also restores the last ten frames from a fresh,
    zero state, beside the long run. Quality has fallen by

        PSNR(fresh, reference) - PSNR(long, reference)

    at that frame, which does not depend on how hard the frame is. Without a reference
    the fresh output replaces the model's own early output (on still content the two
    are equal), and quality has fallen by

        min(40 dB, early PSNR(long, fresh)) - PSNR(long, fresh),

    where early is the first comparison, at frame 20. The model drifts if the median of
    the last three comparisons is above `drop`: a fall that is over by the end is no
    drift. A third of `drop` is enough if more than half of the values have reached the
    bounds 0 and 1 while those of the fresh output have not.

    The model also drifts if its state grows without end: if, in the median of those
    comparisons, the largest number in it is a million times that in the fresh state. A
    network whose gates close can hide such a state behind good frames, until float32
    overflows.

    A model whose last operation bounds its output (no value leaves [0, 1] in the whole
    run) cannot fall below 0 dB; drift and saturation decide.

    Args:
        model: see `diagnostics.subject.Subject`.
        frames: the input of the model: an iterable of [H, W, C], or of [B, H, W, C] for
            B sequences at once, floating in [0, 1] give or take noise; an array
            [T, H, W, C] or [B, T, H, W, C]; a video file or a folder of images.
        reference: the true frames, as many as `frames`, in the same forms and scale
            times as large. None if they are unknown: divergence is then measured
            against the input, its pixels repeated to the output's size.
        sigma: standard deviation of the Gaussian noise that is added to `frames`, in
            units of 255. The clean frames are then the reference if none is given. The
            noise of frame `t` depends on `(seed, t)` alone. Default: no noise.
        drop: the fall in dB that counts as drift. Default: 3 with a reference, 10
            without.
        seed: integer.
        checkpoint: an .npz file that keeps the run, written every 1,000 frames and at
            the end. If it exists, a run with the same arguments goes on from there and
            ends as an unbroken run does.
        progress: whether to show a progress bar.

    Returns:
        `diagnostics.LongRunResult`.

    Raises:
        ValueError: the model is not recurrent; fewer than 50 frames; frames or
            references of a wrong shape, type or range (the message names the frame,
            counting from 0); the reference ends early; the checkpoint belongs to
            another run.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import diagnostics, models
        >>> from stablevid_tf.data import sequences
        >>> model = models.build("vresnet_feat", features=4, blocks=1)
        >>> scene = sequences.still(np.full((8, 8, 3), 0.5), frames=60)
        >>> run = diagnostics.long_run(model, scene, sigma=30)
        >>> run.frames, run.psnr.shape, run.probed.tolist()
        (60, (60, 1), [19, 29, 39, 49, 59])
    """
    subject = Subject(model)
    known = reference is not None or sigma is not None
    drop = _checked_drop(drop, known)
    _check_sigma(sigma, reference, subject.scale)
    frames, reference = _in_time(frames), _in_time(reference)
    total = len(frames) if hasattr(frames, "__len__") else None
    run, late = None, collections.deque(maxlen=subject.latency + 1)
    pairs = enumerate(_pairs(frames, reference, subject))
    for t, (frame, truth) in tqdm.tqdm(pairs, total=total, disable=not progress):
        if run is None:
            settings = _settings(subject, frame, truth, known, sigma, seed)
            run = LongRunState(subject, frame, known, checkpoint, settings)
        # The truth of the frame that this step gives back.
        late.append(truth)
        if t < run.done:
            continue
        run.frame(noisy(frame, sigma, (seed, t)), late[0])
        if run.done % _SAVE_EVERY == 0:
            run.save()
    needed = _SHORTEST + subject.latency
    if run is None or run.done < needed:
        raise ValueError(
            f"A long run needs at least {needed} frames to detect drift. Received: "
            f"{run.done if run else 0}. Use `data.sequences.ping_pong` to make a clip "
            "longer."
        )
    if t + 1 < run.done:
        raise ValueError(
            f"{checkpoint} already holds {run.done} frames. Received: {t + 1} frames. "
            "Give at least as many, or another file."
        )
    run.save()
    return run.result(drop)


def _settings(subject, frame, truth, known, sigma, seed):
    """The settings that must match for a run to go on from a checkpoint."""
    weights = 0
    for weight in getattr(subject.model, "weights", ()):
        array = ops.convert_to_numpy(weight)
        weights = zlib.crc32(array.tobytes(), weights)
    return {
        "model": type(subject.model).__name__,
        "weights": weights,
        "shape": list(frame.shape),
        "first frame": zlib.crc32(frame.tobytes()),
        "first reference": zlib.crc32(truth.tobytes()) if known else None,
        "sigma": None if sigma is None else float(sigma),
        "seed": seed,
    }


def _in_time(frames):
    """The frames as an iterable over time."""
    if isinstance(frames, str | os.PathLike):
        return _read(frames)
    if isinstance(frames, np.ndarray) and frames.ndim == 5:
        return np.moveaxis(frames, 1, 0)
    return frames


def _read(path):
    with open_video(path) as video:
        for frame in video:
            yield frame.image / np.float32(255)


def _pairs(frames, reference, subject):
    """Yields frame and truth, float32 [B, H, W, C], checked."""
    scale, channels, shape = subject.scale, subject.channels, None
    truths = None if reference is None else iter(reference)
    for t, frame in enumerate(frames):
        frame = _checked(frame, f"frame {t}", channels, shape)
        shape = frame.shape
        if truths is None:
            yield frame, frame.repeat(scale, 1).repeat(scale, 2)
            continue
        truth = next(truths, None)
        if truth is None:
            raise ValueError(
                f"The reference ends before frame {t}. Give one for every frame."
            )
        large = (shape[0], scale * shape[1], scale * shape[2], channels)
        yield frame, _checked(truth, f"reference {t}", channels, large)


def _checked(frame, name, channels, shape):
    """A frame or a batch of them as float32 [B, H, W, C]."""
    frame = np.asarray(frame)
    if frame.ndim == 3:
        frame = frame[None]
    if frame.ndim != 4 or frame.shape[-1] != channels or 0 in frame.shape:
        raise ValueError(
            f"{name} must be [height, width, {channels}], or a batch of these. "
            f"Received: shape {frame.shape}"
        )
    if shape is not None and frame.shape != shape:
        raise ValueError(f"{name} must be of shape {shape}. Received: {frame.shape}")
    if not np.issubdtype(frame.dtype, np.floating):
        raise ValueError(
            f"{name} must be floating in [0, 1]. Received: {frame.dtype}. Divide by 255"
        )
    low, high = frame.min(), frame.max()
    if not (low >= -_LIMIT and high <= _LIMIT):
        raise ValueError(
            f"{name} must be in [0, 1], give or take noise. Received: values from "
            f"{low:g} to {high:g}"
        )
    return frame.astype("float32", copy=False)


def _checked_drop(drop, known):
    if drop is None:
        return 3.0 if known else 10.0
    if not drop > 0:
        raise ValueError(f"drop must be above 0 dB. Received: drop={drop!r}")
    return float(drop)


def _check_sigma(sigma, reference, scale):
    if sigma is None:
        return
    if not 0 <= sigma <= 255:
        raise ValueError(
            "sigma must be between 0 and 255 (a noise level in units of 255). "
            f"Received: sigma={sigma!r}"
        )
    if reference is None and scale > 1:
        raise ValueError(
            f"The input of a model with scale={scale} cannot be its reference. Give "
            "`reference`, or leave sigma out."
        )
