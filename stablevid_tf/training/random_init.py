import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablevid_tf.models.restorer import Restorer
from stablevid_tf.numerics.geometry import check_size
from stablevid_tf.training.crops import Crops
from stablevid_tf.training.video_pass import start_leaves


class RandomInit(Crops):
    """Random-initialisation BPTT: short clips, each with its own initial state.

        h(t - 1) ~ N(0, deviation^2),    loss over frames t ... t + l - 1

    for a clip of `l` frames from a random video, time and place: figure 5 of Mori and
    Ukita, "Time-series Initialization and Conditioning for Video-agnostic Stabilization
    of Video Super-Resolution using Recurrent Networks". The paper says that the state
    is randomly initialised, but not from which distribution; zero, the default, is the
    initial state of inference. If the model's window reaches beyond the clip, the
    clip's first and last frames are repeated. Frames are numbered from 1.

    Every batch is a function of `(seed, epoch, index)`.

    Args:
        model, videos, frames, size, batch_size, degrade, flip, seed: see
            `training.PIBPTT`.
        steps: batches per epoch.
        deviation: standard deviation of the initial state, in the state's own units; 0
            for a state of zeros.
        **kwargs: as in `keras.utils.PyDataset`.

    Items:
        `({"frames": seen, "state": numbers}, clean)` for `model.fit`.

    Raises:
        ValueError: an argument is out of range, or the model has no memory.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, training
        >>> model = models.build("vresnet_rlsp", features=4, blocks=1)
        >>> videos = [np.zeros((20, 16, 16, 3), "uint8")]
        >>> clips = training.RandomInit(model, videos, frames=5, size=8, steps=3)
        >>> model.compile("adam", "mse")
        >>> model.fit(clips, epochs=1)                           # doctest: +SKIP
    """

    def __init__(
        self,
        model: Restorer,
        videos: str | os.PathLike[str] | Iterable[np.ndarray],
        steps: int = 100,
        deviation: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, videos, **kwargs)
        check_size("steps", steps)
        if not 0 <= deviation < float("inf"):
            raise ValueError(
                f"deviation must be finite, 0 or more. Received: {deviation!r}"
            )
        self.steps = steps
        self.deviation = float(deviation)
        self._start = start_leaves(model, self.batch_size, self.size)
        starts = np.array([len(v) - self.frames + 1 for v in self.videos], float)
        self._share = starts / starts.sum()

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[dict[str, Any], np.ndarray]:
        random = np.random.default_rng([self.seed, self.epoch, index])
        chosen = random.choice(len(self.videos), self.batch_size, p=self._share)
        clean, seen = [], []
        for video in (self.videos[v] for v in chosen):
            first = random.integers(len(video) - self.frames + 1)
            clip = self.cut(video, random, first, self.frames)
            clean.append(clip)
            seen.append(self.margined(self.seen(clip, random), 0))
        state = tuple(self._drawn(leaf, random) for leaf in self._start)
        return {"frames": np.stack(seen), "state": state}, np.stack(clean)

    def _drawn(self, leaf, random):
        # A counter is not drawn.
        if not self.deviation or np.issubdtype(leaf.dtype, np.integer):
            return leaf
        drawn = random.standard_normal(leaf.shape, dtype="float32")
        return (np.float32(self.deviation) * drawn).astype(leaf.dtype)
