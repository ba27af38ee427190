import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from stablevid_tf.streaming.steps import steps


@dataclasses.dataclass(frozen=True)
class Burst:
    """Strategy: restore bursts of frames, with the state reset to zero before each.

    Every burst is restored as its own clip, so no failure can build up over more than
    `frames` frames. After each reset the quality falls to that of a single frame and
    then recovers. Source: Tanay et al., section 3.4 and appendix E.

    Args:
        frames: frames of a burst; choose a length at which the model is known to be
            stable.

    Raises:
        ValueError: `frames` is not a positive integer.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, streaming
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> frames = [np.zeros([16, 24, 3])] * 12
        >>> len(list(streaming.restore(model, frames, strategy=streaming.Burst(5))))
        12
    """

    frames: int = 10

    def __post_init__(self):
        if not isinstance(self.frames, int) or self.frames < 1:
            raise ValueError(
                "frames must be an integer of 1 or more. Received: "
                f"frames={self.frames!r}"
            )

    def run(self, model: Any, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the restored frames, see `restore`."""
        numbered = enumerate(frames)
        for _, burst in itertools.groupby(numbered, lambda n: n[0] // self.frames):
            yield from steps(model, (frame for _, frame in burst))
