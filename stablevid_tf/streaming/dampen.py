import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from stablevid_tf.streaming.steps import steps
from stablevid_tf.streaming.tiled import dampened_twin


@dataclasses.dataclass(frozen=True)
class Dampen:
    """Strategy: multiply the state by a factor at every step.

    It runs `models.dampened(model, factor)`, at no cost in time. To find out whether a
    factor makes a model stable, use `diagnostics.certify` or `diagnostics.long_run`.

    Args:
        factor: 0 (every frame by itself) to 1 (the model as it is). Default: 0.55, the
            largest factor at which VResNet-feat was stable, with 1.1 dB less (Tanay et
            al., table 7).

    Raises:
        ValueError: `factor` is out of range; when restoring: the model declares no
            feedback loops, or has none.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, streaming
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> frames = [np.zeros([16, 24, 3])] * 3
        >>> len(list(streaming.restore(model, frames, strategy=streaming.Dampen(0.9))))
        3
    """

    factor: float = 0.55

    def __post_init__(self):
        if not 0 <= self.factor <= 1:
            raise ValueError(
                f"factor must be from 0 to 1. Received: factor={self.factor!r}"
            )

    def run(self, model: Any, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The restored frames, an iterator; see `restore`."""
        return steps(dampened_twin(model, self.factor), frames)
