"""What the strategies share: videos, one square of each, and what the model sees."""

import os
import warnings

import keras
import numpy as np

from stablevid_tf.data.clip_dataset import ClipDataset
from stablevid_tf.numerics.geometry import check_size


class Crops(keras.utils.PyDataset):
    """Squares cut out of videos: the ground of :mod:`stablevid_tf.training`'s data.

    Args:
        model: the restorer to be trained; its window, scale and channels are used.
        videos: arrays [T, H, W, C], uint8 or floating in [0, 1], such as
            ``ClipDataset.videos``; or a source as ``ClipDataset`` takes it.
        frames: per clip.
        size: side of the square in pixels of the target.
        batch_size: clips per batch.
        degrade: ``degrade(clean, random)``, from float32 [n, size, size, C] in [0, 1]
            to what the model sees, [n, size / scale, size / scale, C], where
            ``random`` is a NumPy generator; None to show the clean frames.
        flip: mirror and transpose videos at random.
        seed: integer.
    """

    def __init__(
        self,
        model,
        videos,
        frames=15,
        size=64,
        batch_size=4,
        degrade=None,
        flip=True,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (
            ("frames", frames),
            ("size", size),
            ("batch_size", batch_size),
        ):
            check_size(name, value)
        if size % model.scale:
            raise ValueError(
                f"size is a multiple of the model's scale, {model.scale}. "
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
            # Kept: its frames lie in a folder that goes when it does.
            self._source = ClipDataset(videos, frames=self.frames, size=self.size)
            videos = self._source.videos
        videos = list(videos)
        for video in videos:
            if getattr(video, "ndim", 0) != 4 or video.shape[-1] != self.model.channels:
                raise ValueError(
                    "videos are arrays [time, height, width, channels] with the "
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
                f"None of {len(videos)} videos gives clips of {self.frames} frames of "
                f"{self.size}x{self.size} pixels."
            )
        if len(fit) < len(videos):
            warnings.warn(
                f"{len(videos) - len(fit)} of {len(videos)} videos are left out "
                f"(smaller than {self.frames} frames of {self.size}x{self.size})",
                stacklevel=4,
            )
        return fit

    def on_epoch_end(self):
        self.epoch += 1

    def cut(self, video, random, first=0, count=None):
        """``count`` frames of a video from ``first`` on, a random square of them.

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

    def seen(self, clean, random):
        """What the model sees of clean frames; checked."""
        seen = np.asarray(self.degrade(clean, random), "float32")
        side = self.size // self.model.scale
        if seen.shape != (len(clean), side, side, clean.shape[-1]):
            raise ValueError(
                f"degrade makes of frames {clean.shape} what a model of scale "
                f"{self.model.scale} sees: {(len(clean), side, side, clean.shape[-1])}."
                f" Received: {seen.shape}"
            )
        return seen

    def play(self, index):
        """Video ``index`` as this epoch plays it, a function of (seed, epoch, index).

        Returns:
            ``(clean [T, size, size, C], seen [T, size / s, size / s, C])``.
        """
        random = np.random.default_rng([self.seed, self.epoch, index])
        clean = self.cut(self.videos[index], random)
        return clean, self.seen(clean, random)

    def margined(self, seen, first):
        """A clip from frame ``first`` on, with the neighbours that its window sees."""
        at = np.arange(first - self.half, first + self.frames + self.half)
        return seen[np.clip(at, 0, len(seen) - 1)]


def check_one_worker(dataset, why):
    """Raises ValueError where Keras would ask a dataset for several batches at once."""
    if dataset.workers > 1 or dataset.use_multiprocessing:
        raise ValueError(
            f"{type(dataset).__name__} makes one batch after another: {why}. Leave "
            f"workers at 1. Received: workers={dataset.workers!r}, "
            f"use_multiprocessing={dataset.use_multiprocessing!r}"
        )


def _unchanged(clean, random):
    return clean
