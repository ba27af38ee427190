import itertools
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stablevid_tf.data import open_video, sequences
from stablevid_tf.data.dead_leaves import dead_leaves
from stablevid_tf.diagnostics.certify import certify
from stablevid_tf.diagnostics.diagnosis import Diagnosis
from stablevid_tf.diagnostics.long_run import long_run
from stablevid_tf.diagnostics.lyapunov import lyapunov
from stablevid_tf.diagnostics.noisy import noisy
from stablevid_tf.diagnostics.receptive_field import temporal_receptive_field
from stablevid_tf.diagnostics.recovery import recovery
from stablevid_tf.diagnostics.spectra import spectra
from stablevid_tf.diagnostics.subject import Subject

# Ordinary video handed to the state that the field left, and to the Lyapunov rate.
_ORDINARY = 100


def diagnose(
    model: Any,
    frames: str | os.PathLike[str] | Iterable[ArrayLike] | None = None,
    sigma: float | None = None,
    length: int = 2000,
    tau: int = 40,
    size: int = 64,
    iterations: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> Diagnosis:
    """Run every test on a recurrent model and give one verdict.

    The tests are: temporal receptive field (the search for an input that makes the
    model diverge), recovery from the state that this search left, long run, Lyapunov
    rate, certificate and spectra. The verdict is

    - `"diverges"` or `"drifts"`: the long run on ordinary video did;
    - `"diverges only when provoked"`: the long run was clean, but the input that the
      temporal receptive field found makes the output grow without end;
    - `"stable"`: neither. If a certificate holds as well, stability is proved;
    - `"unknown"`: the long run could not be made.

    If a test cannot be made for a model, the result holds the reason in its place, and
    the other tests are made.

    Args:
        model: see `diagnostics.subject.Subject`.
        frames: ordinary video to run on: a video file or a folder of images, an array
            [T, H, W, C] or an iterable of [H, W, C], in [0, 1]. It is cropped to
            `size`, and played back and forth up to `length`. Default: synthetic
            pictures (`data.dead_leaves.dead_leaves`): one still, one panned at a tenth
            of a pixel per frame, one darkened and brightened, one followed by others.
        sigma: level of the noise that is added to the frames, in units of 255: the
            level that the model was trained for. Only the frames get noise. Default:
            none.
        length: number of frames of the long run.
        tau, size, iterations: settings of the temporal receptive field, see
            `temporal_receptive_field`.
        seed: integer.
        progress: whether to show progress bars.

    Returns:
        `diagnostics.Diagnosis`, with `.verdict`, `.summary()` and
        `.save(folder)`, which writes the report.

    Raises:
        ValueError: the model is not recurrent, or the frames cannot be read.

    Example:
        >>> import keras
        >>> from stablevid_tf import diagnostics, models
        >>> keras.utils.set_random_seed(0)  # untrained, some drift and some diverge
        >>> model = models.build("vresnet_feat", features=4, blocks=1)
        >>> found = diagnostics.diagnose(
        ...     model, sigma=30, length=60, tau=3, size=16, iterations=5)
        >>> found.verdict
        'stable'
    """
    # Folded once, for all tests.
    subject = Subject(model)
    model = subject.model
    video = _ordinary(frames, length, size, subject.channels, seed)
    first = [seen[0] for seen in itertools.islice(video(), _ORDINARY)]
    disturbed = [noisy(frame, sigma, (seed, t)) for t, frame in enumerate(first)]
    known = sigma is not None and subject.scale == 1

    field = _try(
        temporal_receptive_field,
        model,
        tau=tau,
        size=size,
        iterations=iterations,
        seed=seed,
        progress=progress,
    )
    back = field
    if not isinstance(field, str):
        back = _try(recovery, model, field, disturbed, first if known else None)
    return Diagnosis(
        name=subject.name,
        field=field,
        recovery=back,
        long_run=_try(
            long_run,
            model,
            (noisy(seen, sigma, (seed, t)) for t, seen in enumerate(video())),
            reference=video() if known else None,
            seed=seed,
            progress=progress,
        ),
        lyapunov=_try(lyapunov, model, disturbed),
        certificate=_try(certify, model),
        spectra=_try(spectra, model),
        settings={
            "frames": "synthetic pictures" if frames is None else _named(frames),
            "sigma": sigma,
            "length": length,
            "tau": tau,
            "size": size,
            "iterations": iterations,
            "seed": seed,
        },
    )


def _try(test, *arguments, **keywords):
    """The result of a test, or the reason why it could not be made."""
    try:
        return test(*arguments, **keywords)
    except ValueError as error:
        return str(error)


def _named(frames):
    return os.fspath(frames) if isinstance(frames, str | os.PathLike) else "given"


def _ordinary(frames, length, size, channels, seed):
    """A function that starts the video again: frames [B, size, size, C]."""
    if frames is None:
        # Room to pan; as many scenes as a change every hundred frames needs.
        made = lambda side, i: dead_leaves(side, side, [seed, i])[..., :channels]  # noqa: E731
        wide, still = made(3 * size, 0), made(size, 1)
        scenes = [made(size, 2 + i) for i in range(max(1, length // 100))]
        return lambda: map(
            np.stack,
            zip(
                sequences.still(still, length),
                sequences.pan(wide, length, (0.06, 0.08), size),
                sequences.gamma(still, length),
                sequences.stills(scenes, length),
                strict=True,
            ),
        )
    clip = _cropped(frames, size, length)
    return lambda: (frame[None] for frame in sequences.ping_pong(clip, length))


def _cropped(frames, size, length):
    """The middle of the frames, at most `length` of them, in memory."""
    if isinstance(frames, str | os.PathLike):
        with open_video(frames) as video:
            read = (frame.image / np.float32(255) for frame in video)
            return _cropped(read, size, length)
    clip = []
    for frame in itertools.islice(frames, length):
        height, width, _ = np.shape(frame)
        if min(height, width) < size:
            raise ValueError(
                f"A diagnosis with size={size} needs frames of at least {size}x{size} "
                f"pixels. Received: {width}x{height}. Use a smaller size."
            )
        y, x = (height - size) // 2, (width - size) // 2
        clip.append(np.asarray(frame, "float32")[y : y + size, x : x + size])
    if not clip:
        raise ValueError("`frames` is empty. Give at least one frame.")
    return clip
