from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from stablevid_tf.data.degradations.degradation import Degradation


@keras.saving.register_keras_serializable(package="stablevid_tf")
class OneOf(Degradation):
    """Each clip is degraded by one of several degradations, drawn at random.

    For models that are to restore what they are not told, such as white noise of any
    level as well as a camera's.

    Args:
        degradations: layers of `data.degradations` that need the same number of clean
            frames and give clips of the same size and channels.
        weights: how often each is drawn, relative to the others. Default: equally
            often.
        seed, **kwargs: as for `Degradation`.

    Raises:
        ValueError: no degradation; another number of weights, or one below 0.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import H264, GaussianNoise, OneOf
        >>> either = OneOf([GaussianNoise(sigma=(0, 50)), H264(crf=(20, 30))], [3, 1])
        >>> degraded, clean = either(np.zeros((3, 32, 32, 3)))
        >>> degraded.shape
        (3, 32, 32, 3)
    """

    def __init__(
        self,
        degradations: Iterable[Degradation],
        weights: ArrayLike | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.degradations = [
            keras.saving.deserialize_keras_object(one) if isinstance(one, dict) else one
            for one in degradations
        ]
        count = len(self.degradations)
        weights = np.ones(count) if weights is None else np.array(weights, float)
        if not count or weights.shape != (count,):
            raise ValueError(
                "Give at least one degradation, and as many weights. "
                f"Received: {count} degradations and {weights.size} weights"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(
                "weights must be finite, 0 or more, and not all 0. "
                f"Received: {weights.tolist()}"
            )
        scales = {one.scale for one in self.degradations}
        if len(scales) > 1:
            raise ValueError(
                f"All degradations must have one scale. Received: {sorted(scales)}"
            )
        self.scale = scales.pop()
        self.share = weights / weights.sum()

    def frames_needed(self, frames: int) -> int:
        return self.degradations[0].frames_needed(frames)

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        chosen = random.choice(len(self.degradations), p=self.share)
        return self.degradations[chosen].degrade(clip, random)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "degradations": [serialize(one) for one in self.degradations],
            "weights": self.share.tolist(),
        }
