from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from stablevid_tf.data.clip_dataset import ClipDataset


class ClipMixture(keras.utils.PyDataset):
    """Batches whose clips come from several datasets, each drawn with a probability.

    Real footage beside moving photographs, white noise beside a camera's: every clip
    of a batch is drawn from one of the datasets. Batch `index` of epoch `epoch` is a
    function of `(seed, epoch, index)` alone, as of `ClipDataset`.

    Args:
        datasets: `ClipDataset` objects that give clips of one shape. Their own
            `batch_size`, `steps` and `seed` are not used.
        weights: how often each is drawn, relative to the others; each more than 0.
        batch_size: clips per batch.
        steps: batches per epoch.
        seed: integer.
        **kwargs: `workers` and the like, as in `keras.utils.PyDataset`.

    Items:
        `(degraded, clean)`, as of `ClipDataset`.

    Raises:
        ValueError: as many weights as datasets are needed, each a finite number above
            0; the datasets differ in the shape of their clips.

    Example:
        >>> from stablevid_tf import data
        >>> natural = data.ClipDataset("videos")                       # doctest: +SKIP
        >>> still = data.ClipDataset("photographs", motion=0)          # doctest: +SKIP
        >>> clips = data.ClipMixture([natural, still], [3, 1])         # doctest: +SKIP
        >>> model.fit(clips, epochs=10)                                # doctest: +SKIP
    """

    def __init__(
        self,
        datasets: Iterable[ClipDataset],
        weights: Iterable[float],
        batch_size: int = 8,
        steps: int = 100,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.datasets = list(datasets)
        weights = np.array(list(weights), float)
        if weights.shape != (len(self.datasets),) or not self.datasets:
            raise ValueError(
                "Give one weight for each dataset, and at least one dataset. "
                f"Received: {len(self.datasets)} datasets and {weights.size} weights"
            )
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(
                f"weights must be finite and above 0. Received: {weights.tolist()}"
            )
        shapes = {(d.frames, d.size, d.grey) for d in self.datasets}
        if len(shapes) > 1:
            raise ValueError(
                "All datasets must give clips of one shape. Received (frames, size, "
                f"grey): {sorted(shapes)}"
            )
        self.share = weights / weights.sum()
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng([self.seed, self.epoch, index])
        chosen = random.choice(len(self.datasets), self.batch_size, p=self.share)
        pairs = [self.datasets[number].draw(random) for number in chosen]
        return tuple(np.stack(part) for part in zip(*pairs, strict=True))
