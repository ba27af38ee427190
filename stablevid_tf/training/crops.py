"""The base of the training strategies: videos, random squares, degraded frames."""

import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from stablevid_tf.data.clip_dataset import ClipDataset
from stablevid_tf.models.restorer import Restorer
from stablevid_tf.numerics.geometry import check_size


class Crops(keras.utils.PyDataset):
    """Squares cropped out of videos: the base class of the datasets in `training`.

    Args:
        model: the restorer to train; its window, scale and channels are used.
        videos: arrays [T, H, W, C], uint8 or floating in [0, 1], such as
            `ClipDataset.videos`; or a source as `ClipDataset` takes it.
        frames: frames per clip.
        size: side of the square in pixels of the target.
        batch_size: clips per batch.
        degrade: `degrade(clean, random)` takes clean frames, float32
            [n, size, size, C] in [0, 1], and a NumPy generator; it returns the frames
            that the model sees, [n, size / scale, size / scale, C]. Default: the clean
            frames.
        flip: whether to mirror and transpose videos at random.
        seed: integer.
    """

    def __init__(
        self,
        model: Restorer,
        videos: str | os.PathLike[str] | Iterable[np.ndarray],
        frames: int = 15,
        size: int = 64,
        batch_size: int = 4,
        degrade: Callable[[np.ndarray, np.random.Generator], ArrayLike] | None = None,
        flip: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (
            ("frames", frames),
            ("size", size),
            ("batch_size", batch_size),
        ):
            check_size(name, value)
        if size % model.scale:
            raise ValueError(
                f"size must be a multiple of the model's scale, {model.scale}. "
                f"Received: {size!r}"
            )
        self.model = model
        self.frames = frames
        self.size = size
        self.batch_size = batch_size
        self.degrade = degrade or _unchanged
        self.flip = flip
        self.seed = seed
        self.epoch = 0
        self.half = model.window // 2
        self.videos = self._open(videos)

    def _open(self, videos):
        if isinstance(videos, str | os.PathLike):
            # Kept: its frames are in a temporary folder that is removed with it.
            self._source = ClipDataset(videos, frames=self.frames, size=self.size)
            videos = self._source.videos
        videos = list(videos)
        for video in videos:
            if getattr(video, "ndim", 0) != 4 or video.shape[-1] != self.model.channels:
                raise ValueError(
                    "videos must be arrays [time, height, width, channels] with the "
                    f"model's {self.model.channels} channels, or a folder. Received: "
                    f"{getattr(video, 'shape', type(video).__name__)}"
                )
        fit = [
            video
            for video in videos
            if len(video) >= self.frames and min(video.shape[1:3]) >= self.size
        ]
        if not fit:
            raise ValueError(
                f"None of {len(videos)} videos is large enough for clips of "
                f"{self.frames} frames of {self.size}x{self.size} pixels. Use larger "
                "videos, or reduce `frames` or `size`."
            )
        if len(fit) < len(videos):
            warnings.warn(
                f"{len(videos) - len(fit)} of {len(videos)} videos are left out "
                f"(smaller than {self.frames} frames of {self.size}x{self.size})",
                stacklevel=4,
            )
        return fit

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def cut(
        self,
        video: np.ndarray,
        random: np.random.Generator,
        first: int = 0,
        count: int | None = None,
    ) -> np.ndarray:
        """A random square of `count` frames of a video, from frame `first` on.

        Returns:
            float32 [count, size, size, C] in [0, 1].
        """
        _, height, width, _ = video.shape
        y = random.integers(height - self.size + 1)
        x = random.integers(width - self.size + 1)
        last = None if count is None else first + count
        clip = video[first:last, y : y + self.size, x : x + self.size]
        if self.flip:
            up, left = 1 - 2 * random.integers(2, size=2)
            clip = clip[:, ::up, ::left]
            if random.integers(2):
                clip = clip.swapaxes(1, 2)
        whole = clip.dtype == np.uint8
        clip = np.ascontiguousarray(clip, "float32")
        return clip / 255 if whole else clip

    def seen(self, clean: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The degraded frames that the model sees; checked."""
        seen = np.asarray(self.degrade(clean, random), "float32")
        side = self.size // self.model.scale
        if seen.shape != (len(clean), side, side, clean.shape[-1]):
            raise ValueError(
                "`degrade` must return frames of shape "
                f"{(len(clean), side, side, clean.shape[-1])} for clean frames of "
                f"shape {clean.shape} and a model of scale {self.model.scale}. "
                f"Received: {seen.shape}"
            )
        return seen

    def play(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Video `index` of this epoch; it depends on (seed, epoch, index) alone.

        Returns:
            `(clean [T, size, size, C], seen [T, size / s, size / s, C])`.
        """
        random = np.random.default_rng([self.seed, self.epoch, index])
        clean = self.cut(self.videos[index], random)
        return clean, self.seen(clean, random)

    def margined(self, seen: np.ndarray, first: int) -> np.ndarray:
        """A clip from frame `first` on, with the neighbours in the model's window."""
        at = np.arange(first - self.half, first + self.frames + self.half)
        return seen[np.clip(at, 0, len(seen) - 1)]


def check_one_worker(dataset, why):
    """Raises ValueError if Keras would ask a dataset for several batches at once."""
    if dataset.workers > 1 or dataset.use_multiprocessing:
        raise ValueError(
            f"{type(dataset).__name__} makes one batch after another, because {why}. "
            f"Leave workers at 1. Received: workers={dataset.workers!r}, "
            f"use_multiprocessing={dataset.use_multiprocessing!r}"
        )


def _unchanged(clean, random):
    return clean
