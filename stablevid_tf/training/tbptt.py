import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablevid_tf.models.restorer import Restorer
from stablevid_tf.training.crops import Crops, check_one_worker


class TBPTT(Crops):
    """Truncated BPTT: a batch continues where the one before it ended.

    Every slot of a batch runs through videos, `l` frames per batch. The state after
    the last frame of a batch is the initial state of the next batch, without gradient.
    In every epoch the videos come in a new order and are cropped to a new square. The
    model that carries the state is `CarryState`, whose `fit` takes batches in order.

    Every batch is a function of `(seed, epoch, index)`. The clips of an epoch, video
    after video, are divided among the slots in equal runs. If a run begins in the
    middle of a video, a fresh state begins there. Frames that do not fill a clip are
    left out.

    Args:
        model, videos, frames, size, batch_size, degrade, flip, seed: see
            `training.PIBPTT`.
        **kwargs: as in `keras.utils.PyDataset`, but one worker only.

    Items:
        `({"frames": seen, "first": bool [B], "number": int32 [B]}, clean)`:
        `first`: whether a fresh state begins; `number`: the number of frames of the
        video before the clip.

    Raises:
        ValueError: an argument is out of range, or there are too few clips for a batch.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, training
        >>> model = models.build("vresnet_rlsp", features=4, blocks=1)
        >>> videos = [np.zeros((20, 16, 16, 3), "uint8")] * 2
        >>> clips = training.TBPTT(model, videos, frames=5, size=8, batch_size=2)
        >>> len(clips)
        4
        >>> trainer = training.CarryState(model, batch_size=2, size=8)
        >>> trainer.compile("adam", "mse")
        >>> trainer.fit(clips, epochs=1)                         # doctest: +SKIP
    """

    def __init__(
        self,
        model: Restorer,
        videos: str | os.PathLike[str] | Iterable[np.ndarray],
        **kwargs: Any,
    ) -> None:
        super().__init__(model, videos, **kwargs)
        check_one_worker(self, "a slot keeps its video from batch to batch")
        self._clips = sum(len(v) // self.frames for v in self.videos)
        if len(self) == 0:
            raise ValueError(
                f"{len(self.videos)} videos give {self._clips} clips of {self.frames} "
                f"frames, less than a batch. Received: batch_size={self.batch_size}. "
                "Use more videos, or a smaller batch_size or frames"
            )
        self._playing = {}

    def __len__(self) -> int:
        return self._clips // self.batch_size

    def _places(self):
        """The epoch's clips, [(video, first frame)]."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(
            len(self.videos)
        )
        return [
            (int(v), i * self.frames)
            for v in order
            for i in range(len(self.videos[v]) // self.frames)
        ]

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        places = self._places()
        clean, seen, numbers = [], [], []
        for slot in range(self.batch_size):
            video, first = places[slot * len(self) + index]
            played, degraded = self._played(slot, video)
            clean.append(played[first : first + self.frames])
            seen.append(self.margined(degraded, first))
            numbers.append(first)
        numbers = np.array(numbers, "int32")
        fresh = (numbers == 0) | (index == 0)
        clip = {"frames": np.stack(seen), "first": fresh, "number": numbers}
        return clip, np.stack(clean)

    def _played(self, slot, video):
        """The video of a slot of the batch: cropped and degraded once."""
        key = (self.epoch, video)
        if self._playing.get(slot, (None,))[0] != key:
            self._playing[slot] = (key, self.play(video))
        return self._playing[slot][1]
