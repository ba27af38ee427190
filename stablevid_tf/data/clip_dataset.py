import itertools
import numbers
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from stablevid_tf.data.camera_path import CameraPath
from stablevid_tf.data.list_videos import key_of, list_videos
from stablevid_tf.data.synthetic_motion import drift, follow, margin
from stablevid_tf.data.video import open_video
from stablevid_tf.data.video_error import VideoError

_FASTEST = 64


class ClipDataset(keras.utils.PyDataset):
    """Random clips from videos, degraded, for ``model.fit``.

    Videos are decoded once, to raw frames on disk that the system maps into memory;
    a batch is then cut out at random places. Batch ``index`` of epoch ``epoch`` is a
    function of ``(seed, epoch, index)`` alone: noise is drawn afresh for every batch,
    and a resumed run sees the same batches as an unbroken one.

    Args:
        source: a folder of video files and of folders of frames (or of frames only),
            a path of one video, a glob of videos, or a list of these.
        frames: frames per clip.
        size: side of the square crop in pixels, as the model sees it: with a
            ``degrade`` of scale s, clean clips are cut at s times that.
        batch_size: clips per batch.
        steps: batches per epoch.
        sigma: standard deviation of the Gaussian noise in units of 255: one number, or
            ``(low, high)`` to draw it for each clip; default 30. Without
            ``degrade`` only.
        flip: mirror clips at random, left-right and up-down.
        motion: None for the videos' own motion; a number to take single frames of
            the videos instead and let each drift at a constant velocity, up to that
            many pixels a frame along each axis (0 for still clips), by cubic
            interpolation; or a :class:`stablevid_tf.data.CameraPath`, which each
            follows for itself. The noise is fresh in every frame either way.
        degrade: what degrades a clip in place of the noise: a layer of
            ``data.degradations``, or a function of ``(clip, random)``, a clean clip
            [frames, size, size, C] in [0, 1] and a NumPy generator, that gives the
            degraded clip, or it and the target. Longer windows of video are read
            where it needs them (motion blur).
        grey: give one channel (the luma of BT.601, full range) instead of RGB.
        weight: a function of a video's path (a ``pathlib.Path``) that returns how
            often it is drawn, relative to the others, 0 or more. Default: the number
            of clips that it holds.
        seed: integer.
        cache: folder for the decoded frames (3 bytes a pixel), kept and used again;
            by default a temporary one, removed when the dataset is.
        **kwargs: ``workers`` and the like, as in ``keras.utils.PyDataset``.

    Items:
        ``(degraded, clean)``, float32 [batch_size, frames, size, size, 3]; clean in
        [0, 1] and s times larger with a ``degrade`` of scale s; noise not clipped.

    Raises:
        FileNotFoundError: there is no video.
        ValueError: no video is long and large enough for a clip, or an argument is
            outside its range. Videos that are too short, too small or unreadable are
            left out with a counted warning.

    Example:
        >>> from stablevid_tf import data
        >>> clips = data.ClipDataset("my_videos", sigma=30)      # doctest: +SKIP
        >>> model.fit(clips, epochs=10)                          # doctest: +SKIP

        For super-resolution by 4, and for deblurring:

        >>> from stablevid_tf.data.degradations import BicubicDown, MotionBlur
        >>> small = data.ClipDataset("videos", degrade=BicubicDown(4))  # doctest: +SKIP
        >>> blurred = data.ClipDataset("videos", degrade=MotionBlur())  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        frames: int = 7,
        size: int = 64,
        batch_size: int = 8,
        steps: int = 100,
        sigma: float | tuple[float, float] | None = None,
        flip: bool = True,
        motion: float | CameraPath | None = None,
        grey: bool = False,
        seed: int = 0,
        cache: str | os.PathLike[str] | None = None,
        degrade: Callable[..., Any] | None = None,
        weight: Callable[[Path], float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (
            ("frames", frames),
            ("size", size),
            ("batch_size", batch_size),
            ("steps", steps),
        ):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"{name} must be a positive integer. Received: {value!r}"
                )
        if degrade is not None and sigma is not None:
            raise ValueError(
                "sigma is the noise without degrade: give one of the two, such as "
                "degrade=GaussianNoise(sigma=(0, 55), noise_map=True). Received: "
                f"sigma={sigma!r} and degrade={degrade!r}"
            )
        if degrade is not None and not callable(degrade):
            raise ValueError(
                "degrade is a layer of data.degradations, or a function of (clip, "
                f"random). Received: {degrade!r}"
            )
        sigma = 30.0 if sigma is None else sigma
        low, *middle, high = (sigma, sigma) if np.isscalar(sigma) else sigma
        if middle or not 0 <= low <= high <= 255:
            raise ValueError(
                "sigma is a noise level in units of 255, between 0 and 255, or (low, "
                f"high). Received: {sigma!r}"
            )
        wanders = isinstance(motion, CameraPath)
        number = isinstance(motion, numbers.Real) and 0 <= motion <= _FASTEST
        if motion is not None and not wanders and not number:
            raise ValueError(
                f"motion is a speed in pixels a frame, between 0 and {_FASTEST}, a "
                f"CameraPath, or None for the videos' own. Received: {motion!r}"
            )
        self.frames = frames
        self.size = size
        self.motion = motion
        self.degrade = degrade
        # A clean clip's frames and side; and those of the place that it is cut from.
        needed = getattr(degrade, "frames_needed", int)
        self._clean = needed(frames), size * getattr(degrade, "scale", 1)
        self._length, self._side = self._clean
        if motion is not None:
            around = motion.margin if wanders else margin(self._length, motion)
            self._length, self._side = 1, self._side + 2 * around
        self.batch_size = batch_size
        self.steps = steps
        self.sigma = (float(low), float(high))
        self.flip = flip
        self.grey = grey
        self.seed = seed
        self.epoch = 0
        if cache is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="stablevid-")
            cache = self._temporary.name
        paths, self._videos = self._open(source, Path(cache))
        if weight is None:
            share = [len(v) - self._length + 1 for v in self._videos]
        else:
            share = [weight(Path(path)) for path in paths]
        self._share = _normalised(share, paths)

    def _open(self, source, cache):
        paths = list_videos(source)
        cache.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(lambda p: _decode(p, cache), paths))
        # Not in the threads: numpy.load parses Python, which in 3.11 fails in several
        # threads at once, now and then (SystemError, python/cpython#106905).
        results = [
            np.load(result, mmap_mode="r") if isinstance(result, Path) else result
            for result in results
        ]
        kept = self._large_enough(paths, results)
        return [paths[place] for place in kept], [results[place] for place in kept]

    def _large_enough(self, names, results):
        """Which of them give clips; what is left out is counted and said."""
        large, left_out = [], []
        for place, (name, result) in enumerate(zip(names, results, strict=True)):
            if isinstance(result, Exception):
                left_out.append(str(result))
                continue
            length, height, width, _ = result.shape
            if length < self._length or min(height, width) < self._side:
                left_out.append(f"{name}: {length} frames of {width}x{height}")
                continue
            large.append(place)
        if left_out:
            warnings.warn(
                f"{len(left_out)} of {len(names)} videos are left out (unreadable, or "
                f"smaller than {self._length} frames of {self._side}x{self._side}). "
                f"First: {left_out[0]}",
                stacklevel=4,
            )
        if not large:
            raise ValueError(
                f"None of {len(names)} videos gives clips of {self._length} frames of "
                f"{self._side}x{self._side} pixels. First: {left_out[0]}"
            )
        return large

    @property
    def videos(self) -> list[np.ndarray]:
        """The decoded videos: uint8 [T, H, W, 3] each, mapped into memory."""
        return list(self._videos)

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng([self.seed, self.epoch, index])
        chosen = random.choice(len(self._videos), self.batch_size, p=self._share)
        clean = self._floating([self._clip(self._videos[v], random) for v in chosen])
        if self.degrade is not None:
            pairs = [self._degraded(clip, random) for clip in clean]
            return tuple(np.stack(part) for part in zip(*pairs, strict=True))
        sigma = random.uniform(*self.sigma, size=(self.batch_size, 1, 1, 1, 1)) / 255
        noise = random.standard_normal(clean.shape, dtype="float32")
        return clean + noise * sigma.astype("float32"), clean

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One clip: ``(degraded, clean)``, float32 [frames, size, size, C].

        Args:
            random: a NumPy generator.
        """
        video = self._videos[random.choice(len(self._videos), p=self._share)]
        clean = self._floating([self._clip(video, random)])[0]
        if self.degrade is not None:
            return self._degraded(clean, random)
        sigma = np.float32(random.uniform(*self.sigma) / 255)
        return clean + sigma * random.standard_normal(clean.shape, "float32"), clean

    def _degraded(self, clip, random):
        pair = getattr(self.degrade, "degrade", self.degrade)(clip, random)
        degraded, target = pair if isinstance(pair, tuple) else (pair, clip)
        if len(degraded) != self.frames or len(target) != self.frames:
            raise ValueError(
                f"degrade must give {self.frames} frames of a clip of {len(clip)}, and "
                f"as many targets. Received: {len(degraded)} and {len(target)}"
            )
        return degraded.astype("float32"), target.astype("float32")

    def _floating(self, clips):
        """A batch in [0, 1], of clips in 0...255."""
        clips = np.stack(clips).astype("float32") / 255
        if self.grey:
            clips = clips @ np.array([[0.299], [0.587], [0.114]], "float32")
        return clips

    def _clip(self, video, random):
        length, height, width, _ = video.shape
        t = random.integers(length - self._length + 1)
        y = random.integers(height - self._side + 1)
        x = random.integers(width - self._side + 1)
        clip = video[t : t + self._length, y : y + self._side, x : x + self._side]
        frames, side = self._clean
        if isinstance(self.motion, CameraPath):
            places = itertools.islice(self.motion.places(random), frames)
            clip = follow(clip[0], places, side)
        elif self.motion is not None:
            velocity = random.uniform(-self.motion, self.motion, size=2)
            clip = drift(clip[0], frames, side, velocity)
        if self.flip:
            up, left = 1 - 2 * random.integers(2, size=2)
            clip = clip[:, ::up, ::left]
        return clip


def _normalised(weights, paths):
    """Probabilities of the videos, from their weights."""
    for weight, path in zip(weights, paths, strict=True):
        number = isinstance(weight, numbers.Real)
        if not (number and np.isfinite(weight) and weight >= 0):
            raise ValueError(
                "weight must return a finite number, 0 or more, for every video. "
                f"Received: {weight!r} for {path}"
            )
    if not sum(weights):
        raise ValueError("weight is 0 for every video: give at least one more than 0.")
    return np.array(weights, float) / sum(weights)


def _decode(path, cache):
    """The file of a video's raw frames, or the error that reading it gave."""
    try:
        kept = cache / f"{key_of(path)}.npy"
        if not kept.exists():
            with open_video(path) as video:
                keep(kept, np.stack([frame.image for frame in video]))
        return kept
    except (VideoError, ValueError, FileNotFoundError) as error:
        return error


def keep(path, frames):
    """Writes an array's file, whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            np.save(file, frames)
        os.replace(partial, path)
    except OSError as error:
        reason = f"{os.strerror(error.errno)} ({frames.nbytes} bytes)"
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
