import dataclasses
import itertools

from stablevid_tf.streaming.steps import steps


@dataclasses.dataclass(frozen=True)
class Burst:
    """Strategy: burst by burst, the state reset to zero before each.

    Every burst is restored as a clip of its own: no failure can build up over more
    than `frames` frames. After each reset the quality falls to that of a single
    frame and comes back. Source: Tanay et al., section 3.4 and appendix E.

    Args:
        frames: of a burst; choose what the model is known to stand.

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
                f"frames of a burst must be 1 or more. Received: frames={self.frames!r}"
            )

    def run(self, model, frames):
        """Yields the restored frames, see `restore`."""
        numbered = enumerate(frames)
        for _, burst in itertools.groupby(numbered, lambda n: n[0] // self.frames):
            yield from steps(model, (frame for _, frame in burst))
