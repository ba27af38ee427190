import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from stablevid_tf.streaming.burst import Burst


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Strategy: two copies of the model run in bursts, the second half a burst later.

    Every frame comes from the copy whose state is older. With bursts of 10, the first
    copy gives frames 1 to 10, 16 to 20, 26 to 30, ..., the second frames 11 to 15, 21
    to 25, ... So only the first few frames come from a young state. The cost is two
    model steps per frame. The picture may flicker where the copies alternate.
    Source: Tanay et al., section 3.4 and appendix E.

    Args:
        frames: frames of a burst; even.

    Raises:
        ValueError: `frames` is not a positive even integer.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, streaming
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> frames = [np.zeros([16, 24, 3])] * 12
        >>> len(list(streaming.restore(model, frames, strategy="overlap")))
        12
    """

    frames: int = 10

    def __post_init__(self):
        if not isinstance(self.frames, int) or self.frames < 2 or self.frames % 2:
            raise ValueError(
                "frames must be an even integer of 2 or more. "
                f"Received: frames={self.frames!r}"
            )

    def run(self, model: Any, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the restored frames, see `restore`."""
        half, burst = self.frames // 2, Burst(self.frames)
        early, late = itertools.tee(frames)
        first = burst.run(model, early)
        second = burst.run(model, itertools.islice(late, half, None))
        later = itertools.chain(itertools.repeat(None, half), second)
        for index, (one, other) in enumerate(zip(first, later, strict=False)):
            older = index < self.frames or index % self.frames >= half
            yield one if older else other
