import collections
import contextlib
import dataclasses
import functools
import os
import sys
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import tqdm

from stablevid_tf.data.video import create_video, open_video
from stablevid_tf.data.video_target import check_target, refuse_same
from stablevid_tf.streaming.ahead import ahead
from stablevid_tf.streaming.behind import behind
from stablevid_tf.streaming.expected_time import expected_time, timed
from stablevid_tf.streaming.few_cores import few_cores
from stablevid_tf.streaming.look_ahead import kept_frames
from stablevid_tf.streaming.part import check_part, part
from stablevid_tf.streaming.ready import ready
from stablevid_tf.streaming.restore import LOOK_AHEAD, restore
from stablevid_tf.streaming.strategies import Strategy
from stablevid_tf.streaming.video_noise import measured_noise

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# From this frame size on, the expected time is printed.
_LARGE = 1280 * 720
# Frames after the first one that are timed.
_TIMED = 3


def restore_file(
    model: Any,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    crf: int | None = None,
    lossless: bool = False,
    overwrite: bool = False,
    rate: float | Fraction | str | None = None,
    allow_damaged: bool = False,
    strategy: str | Strategy | None = None,
    look_ahead: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    sigma: float | None = None,
    strength: float = 1.0,
    precision: str | None = None,
    threads: int | None = None,
    start: float = 0.0,
    seconds: float | None = None,
    progress: bool = True,
) -> int:
    """Restores a video file or a folder of images into another.

    Every frame is restored, with its time. Sound, colour matrix and range, and pixel
    aspect are kept; rotation is applied to the pixels. One thread decodes, the calling
    thread runs the model, another thread encodes; each is at most a few frames ahead of
    the next, so memory does not grow with the length. The target appears only when it
    is complete: an exception in any of the three, or an interrupt, leaves no part of
    it. A grey model gives a grey video.

    Args:
        model: as for `restore`; or the name of a zoo entry, as for `zoo.load`.
        source: a video file, a folder of images, or a pattern of image names.
        target: a file name with a video suffix, or a folder for PNG files.
        crf: int, quality of the target, 0 (best) to 51. Default: 18 (24 for WebM).
        lossless: bool, store RGB without loss.
        overwrite: bool, replace an existing `target`.
        rate: frames per second of images. Default: 24.
        allow_damaged: bool, restore what can be decoded of a truncated or damaged
            file instead of refusing it.
        strategy, look_ahead, tile, overlap: as for `restore`.
        sigma: the noise level, in units of 255, for a model with a noise map. Default:
            the level that `models.at_noise_level` set; for an entry as `zoo.load`
            returns it, the level measured on the first frames.
        strength: how much is removed, 0 (nothing) to 2; see `models.at_strength`.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`; auto is bfloat16
            on hardware with matrix units for it. Default: the model's own; auto for a
            name.
        threads: int, the largest number of threads of the decoder and of the encoder.
            Default: all cores. (TensorFlow's own threads can only be limited before it
            runs.)
        start: seconds from the first frame; frames before are dropped.
        seconds: length of the part to restore. Default: to the end. A part has no
            sound.
        progress: bool, show a bar with frames per second and the time left, and print
            the measured noise and, for large frames, the expected time; on standard
            error.

    Returns:
        int, the number of frames.

    Raises:
        FileNotFoundError, FileExistsError, VideoError, ValueError: as
            `data.open_video`, `data.create_video`, `restore`, `zoo.load` and
            `models.at_strength`; source and target are the same; `sigma` is given for
            a model without a noise map; `start` is after the end.

    Example:
        >>> import tempfile
        >>> from stablevid_tf import streaming
        >>> from stablevid_tf.data.images_writer import ImageWriter
        >>> folder = tempfile.mkdtemp()
        >>> with ImageWriter(folder + "/in") as out:
        ...     for index in range(3):
        ...         out.write(np.zeros([32, 48, 3]), index)
        >>> streaming.restore_file(
        ...     "tiny", folder + "/in", folder + "/out.mp4", rate=25, progress=False
        ... )
        3
    """
    refuse_same(source, target)
    check_part(start, seconds)
    check_target(target, overwrite)
    say = functools.partial(tqdm.tqdm.write, file=sys.stderr)

    def measure():
        with few_cores(threads):
            noise = measured_noise(source, rate, allow_damaged, start)
        if progress and noise is not None:
            say(f"noise: {noise:.1f} of 255 (measured)")
        return noise

    with contextlib.ExitStack() as stack:
        with few_cores(threads):
            video = stack.enter_context(open_video(source, rate, allow_damaged))
        info = _info_of_part(video.info, start, seconds)
        writer = create_video(target, info, crf, lossless, overwrite)
        model = ready(model, measure, sigma, strength, precision)
        times = collections.deque()
        grey = model.channels == 1
        if grey:
            warnings.warn("the model is grey: the target has no colour", stacklevel=2)
        # Leaving closes these from last to first, each waiting for its thread.
        frames = stack.enter_context(
            contextlib.closing(ahead(_floats(part(video, start, seconds), times, grey)))
        )
        images = restore(
            model,
            frames,
            strategy,
            look_ahead=look_ahead,
            tile=tile,
            overlap=overlap,
        )
        if progress and info.width * info.height >= _LARGE:
            count = _timed_frames(model, look_ahead)
            images = timed(images, count, lambda s: say(expected_time(s, info.frames)))
        bar = stack.enter_context(
            tqdm.tqdm(total=info.frames, unit=" frames", disable=not progress)
        )
        writer = stack.enter_context(writer)
        write = stack.enter_context(behind(_writing(writer, threads)))
        count = 0
        for image in images:
            write(image, *times.popleft())
            bar.update()
            count += 1
        return count


def _info_of_part(info, start, seconds):
    """The info of a part of a video: fewer frames, and no sound."""
    if not start and seconds is None:
        return info
    if info.sound is not None:
        warnings.warn("a part of a video is restored without its sound", stacklevel=3)
    frames = info.frames
    if frames is not None:
        frames = max(0, frames - round(start * info.rate))
    if seconds is not None:
        most = max(1, round(seconds * info.rate))
        frames = most if frames is None else min(frames, most)
    return dataclasses.replace(info, frames=frames, sound=None)


def _timed_frames(model, look_ahead):
    """The number of frames that are timed: those of a window, or a few."""
    if hasattr(model, "step"):
        return _TIMED
    return kept_frames(LOOK_AHEAD if look_ahead is None else look_ahead)


def _writing(writer, threads):
    """The writer's `write`, whose first call opens the encoder."""
    opened = []

    def write(*arguments):
        with few_cores(None if opened else threads):
            writer.write(*arguments)
        opened[:] = [True]

    return write


def _floats(frames, times, grey):
    for frame in frames:
        times.append((frame.time, frame.duration, frame.name))
        image = frame.image.astype(np.float32) / 255
        yield (image @ _LUMA)[..., None] if grey else image
