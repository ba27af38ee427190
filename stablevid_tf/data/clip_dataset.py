import glob
import hashlib
import os
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from stablevid_tf.data.images_reader import IMAGE_SUFFIXES
from stablevid_tf.data.synthetic_motion import drift, margin
from stablevid_tf.data.video import open_video
from stablevid_tf.data.video_error import VideoError

_VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".ts")
_FASTEST = 64


class ClipDataset(keras.utils.PyDataset):
    """Random clips from videos, with Gaussian noise, for ``model.fit``.

    Videos are decoded once, to raw frames on disk that the system maps into memory;
    a batch is then cut out at random places. Batch ``index`` of epoch ``epoch`` is a
    function of ``(seed, epoch, index)`` alone: noise is drawn afresh for every batch,
    and a resumed run sees the same batches as an unbroken one.

    Args:
        source: a folder of video files and of folders of frames (or of frames only),
            a path of one video, a glob of videos, or a list of these.
        frames: frames per clip.
        size: side of the square crop in pixels.
        batch_size: clips per batch.
        steps: batches per epoch.
        sigma: standard deviation of the noise in units of 255: one number, or
            ``(low, high)`` to draw it for each clip.
        flip: mirror clips at random, left-right and up-down.
        motion: None for the videos' own motion; a number to take single frames of
            the videos instead and let each drift at a constant velocity, up to that
            many pixels a frame along each axis (0 for still clips), by cubic
            interpolation. The noise is fresh in every frame either way.
        grey: give one channel (the luma of BT.601, full range) instead of RGB.
        seed: integer.
        cache: folder for the decoded frames (3 bytes a pixel), kept and used again;
            by default a temporary one, removed when the dataset is.
        **kwargs: ``workers`` and the like, as in ``keras.utils.PyDataset``.

    Items:
        ``(noisy, clean)``, float32 [batch_size, frames, size, size, 3]; clean in
        [0, 1], noisy not clipped.

    Raises:
        FileNotFoundError: there is no video.
        ValueError: no video is long and large enough for a clip, or an argument is
            outside its range. Videos that are too short, too small or unreadable are
            left out with a counted warning.

    Example:
        >>> from stablevid_tf import data
        >>> clips = data.ClipDataset("my_videos", sigma=30)      # doctest: +SKIP
        >>> model.fit(clips, epochs=10)                          # doctest: +SKIP
    """

    def __init__(
        self,
        source,
        frames=7,
        size=64,
        batch_size=8,
        steps=100,
        sigma=30.0,
        flip=True,
        motion=None,
        grey=False,
        seed=0,
        cache=None,
        **kwargs,
    ):
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
        low, *middle, high = (sigma, sigma) if np.isscalar(sigma) else sigma
        if middle or not 0 <= low <= high <= 255:
            raise ValueError(
                "sigma is a noise level in units of 255, between 0 and 255, or (low, "
                f"high). Received: {sigma!r}"
            )
        if motion is not None and not 0 <= motion <= _FASTEST:
            raise ValueError(
                f"motion is a speed in pixels a frame, between 0 and {_FASTEST}, or "
                f"None for the videos' own. Received: {motion!r}"
            )
        self.frames = frames
        self.size = size
        self.motion = motion
        # What a clip is cut from: as many frames, of that side.
        self._length, self._side = frames, size
        if motion is not None:
            self._length, self._side = 1, size + 2 * margin(frames, motion)
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
        self._videos = self._open(list_videos(source), Path(cache))
        starts = np.array([len(v) - self._length + 1 for v in self._videos], float)
        self._share = starts / starts.sum()

    def _open(self, paths, cache):
        cache.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(lambda p: _decode(p, cache), paths))
        videos, left_out = [], []
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, Exception):
                left_out.append(str(result))
                continue
            length, height, width, _ = result.shape
            if length < self._length or min(height, width) < self._side:
                left_out.append(f"{path}: {length} frames of {width}x{height}")
                continue
            videos.append(result)
        if left_out:
            warnings.warn(
                f"{len(left_out)} of {len(paths)} videos are left out (unreadable, or "
                f"smaller than {self._length} frames of {self._side}x{self._side}). "
                f"First: {left_out[0]}",
                stacklevel=3,
            )
        if not videos:
            raise ValueError(
                f"None of {len(paths)} videos gives clips of {self._length} frames of "
                f"{self._side}x{self._side} pixels. First: {left_out[0]}"
            )
        return videos

    @property
    def videos(self):
        """The decoded videos: uint8 [T, H, W, 3] each, mapped into memory."""
        return list(self._videos)

    def __len__(self):
        return self.steps

    def on_epoch_end(self):
        self.epoch += 1

    def __getitem__(self, index):
        random = np.random.default_rng([self.seed, self.epoch, index])
        chosen = random.choice(len(self._videos), self.batch_size, p=self._share)
        clean = np.stack([self._clip(self._videos[v], random) for v in chosen])
        clean = clean.astype("float32") / 255
        if self.grey:
            clean = clean @ np.array([[0.299], [0.587], [0.114]], "float32")
        sigma = random.uniform(*self.sigma, size=(self.batch_size, 1, 1, 1, 1)) / 255
        noise = random.standard_normal(clean.shape, dtype="float32")
        return clean + noise * sigma.astype("float32"), clean

    def _clip(self, video, random):
        length, height, width, _ = video.shape
        t = random.integers(length - self._length + 1)
        y = random.integers(height - self._side + 1)
        x = random.integers(width - self._side + 1)
        clip = video[t : t + self._length, y : y + self._side, x : x + self._side]
        if self.motion is not None:
            velocity = random.uniform(-self.motion, self.motion, size=2)
            clip = drift(clip[0], self.frames, self.size, velocity)
        if self.flip:
            up, left = 1 - 2 * random.integers(2, size=2)
            clip = clip[:, ::up, ::left]
        return clip


def list_videos(source):
    """The videos below ``source``, sorted: files, and folders that hold frames.

    Args:
        source: see :class:`ClipDataset`.

    Returns:
        A list of paths, each fit for :func:`stablevid_tf.data.open_video`.
    """
    if isinstance(source, (list, tuple)):
        return [video for one in source for video in list_videos(one)]
    path = Path(source)
    if not path.exists() and glob.has_magic(str(source)):
        inside = sorted(Path(p) for p in glob.glob(str(source)))
    elif not path.exists():
        raise FileNotFoundError(f"{source}: there is no such file or folder")
    elif not path.is_dir():
        return [path]
    else:
        inside = sorted(path.iterdir())
    if path.is_dir() and any(p.suffix.lower() in IMAGE_SUFFIXES for p in inside):
        return [path]
    found = []
    for p in inside:
        if p.is_dir():
            images = any(q.suffix.lower() in IMAGE_SUFFIXES for q in p.iterdir())
            found += [p] if images else []
        elif p.suffix.lower() in _VIDEO_SUFFIXES:
            found.append(p)
    if not found:
        raise FileNotFoundError(
            f"{source}: no video file ({', '.join(_VIDEO_SUFFIXES)}) and no folder of "
            f"images ({', '.join(IMAGE_SUFFIXES)}) in it"
        )
    return found


def _decode(path, cache):
    """Raw frames of a video as a memory map, or the error that reading it gave."""
    try:
        kept = cache / f"{_key(path)}.npy"
        if not kept.exists():
            with open_video(path) as video:
                frames = np.stack([frame.image for frame in video])
            partial = kept.with_suffix(f".{os.getpid()}.partial")
            with open(partial, "wb") as file:
                np.save(file, frames)
            os.replace(partial, kept)
        return np.load(kept, mmap_mode="r")
    except (VideoError, ValueError, FileNotFoundError) as error:
        return error


def _key(path):
    """A name for a video as it is now: another when it changes."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stamp = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    digest = hashlib.sha256(repr((str(path.resolve()), stamp)).encode())
    return f"{path.stem}-{digest.hexdigest()[:16]}"
