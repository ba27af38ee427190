import sys
from typing import Any

import keras
import numpy as np

# One value, or (low, high) to draw one for each clip.
Range = float | tuple[float, float]

# Noise of sigma 100/255 stays within.
_LIMIT = 4.0


class Degradation(keras.layers.Layer):
    """A preprocessing layer that spoils clips: ``(degraded, target)`` of a clean one.

    Subclasses define :meth:`degrade` for one clip in NumPy; all frames of a clip are
    treated alike. The layer computes on the host, in eager code, in data sets of NumPy
    arrays and in ``tf.data`` (through ``tf.numpy_function``); it has no gradient and
    belongs in front of a model, not inside one.

    Args:
        seed: integer. A call is a function of ``(seed, number)`` alone.
        **kwargs: as in ``keras.layers.Layer``.

    Call arguments:
        clips: [T, H, W, C] or [B, T, H, W, C], floating in [0, 1].
        number: integer, other random numbers for each. Without it calls are counted,
            which is repeatable only where they come in a fixed order: in a parallel
            ``Dataset.map`` give the number that ``Dataset.enumerate`` tells.

    Output:
        ``(degraded, target)``, float32. Frames and sizes as :attr:`scale` and
        :meth:`frames_needed` say: ``target`` has ``scale`` times the size of
        ``degraded``.

    Raises:
        ValueError: wrong rank or dtype, values far from [0, 1], or too few frames.
    """

    #: How many times larger the target is than the degraded frames.
    scale = 1

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        kwargs.setdefault("trainable", False)
        super().__init__(**kwargs)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed is an integer, 0 or more. Received: {seed!r}")
        self.seed = seed
        self._calls = 0

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """``(degraded, target)`` of one clip.

        Args:
            clip: [T, H, W, C] floating NumPy array in [0, 1].
            random: a NumPy generator.
        """
        raise NotImplementedError

    def frames_needed(self, frames: int) -> int:
        """Clean frames that make so many degraded ones."""
        return frames

    def __call__(self, clips: Any, number: Any = None) -> tuple[Any, Any]:
        if isinstance(clips, keras.KerasTensor):
            raise ValueError(
                f"{self.name} works on clips, not inside a model: give it to "
                "`ClipDataset(degrade=...)` or map it over a `tf.data.Dataset`"
            )
        if _is_symbolic(clips) or _is_symbolic(number):
            return self._in_graph(clips, number)
        number = self._count() if number is None else int(np.asarray(number))
        return self._run(np.asarray(clips), number)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}

    def _count(self):
        self._calls += 1
        return self._calls - 1

    def _run(self, clips, number):
        random = np.random.default_rng([self.seed, number])
        if clips.ndim != 5:
            return self._checked(clips, random)
        pairs = [self._checked(clip, random) for clip in clips]
        return tuple(np.stack(part) for part in zip(*pairs, strict=True))

    def _checked(self, clip, random):
        check_clip(clip)
        pair = self.degrade(clip.astype("float32", copy=False), random)
        return tuple(part.astype("float32", copy=False) for part in pair)

    def _in_graph(self, clips, number):
        import tensorflow as tf

        if number is None:
            number = tf.numpy_function(
                lambda: np.int64(self._count()), [], tf.int64, stateful=True
            )
        number = tf.cast(number, tf.int64)
        pair = tf.numpy_function(
            lambda c, n: self._run(c, int(n)),
            [clips, number],
            (tf.float32, tf.float32),
            stateful=True,
        )
        # The rank is known; sizes where the clip's are.
        for tensor in pair:
            tensor.set_shape([None] * len(clips.shape))
        if clips.shape.is_fully_defined():
            probe = np.zeros(clips.shape, "float32")
            shapes = [part.shape for part in self._run(probe, 0)]
            for tensor, shape in zip(pair, shapes, strict=True):
                tensor.set_shape(shape)
        return pair


def check_clip(clip):
    """Refuses what is not a clip of floating frames in [0, 1]."""
    if clip.ndim != 4 or not clip.size:
        raise ValueError(
            "A clip is [frames, height, width, channels], or a batch of such. "
            f"Received: shape {clip.shape}"
        )
    if not np.issubdtype(clip.dtype, np.floating):
        raise ValueError(
            "A clip is floating in [0, 1]: divide integers by 255. "
            f"Received: {clip.dtype}"
        )
    low, high = clip.min(), clip.max()
    # Noise passes, and what cubic interpolation overshoots; 0...255 and NaN do not.
    if not (low >= -_LIMIT and high <= _LIMIT):
        raise ValueError(
            "A clip has finite values in [0, 1], give or take noise: divide those of "
            f"0...255 by 255. Received: values from {low} to {high}"
        )


def check_range(name, value, lowest, highest, unit):
    """``(low, high)`` of a number or of a pair of numbers; checked."""
    low, *middle, high = (value, value) if np.isscalar(value) else value
    if middle or not lowest <= low <= high <= highest:
        raise ValueError(
            f"{name} is {unit}, between {lowest:g} and {highest:g}, or (low, high). "
            f"Received: {value!r}"
        )
    return float(low), float(high)


def draw(low_high, random):
    """A number between the two; without chance where they are equal."""
    low, high = low_high
    return low if low == high else random.uniform(low, high)


def _is_symbolic(x):
    tf = sys.modules.get("tensorflow")
    return tf is not None and tf.is_tensor(x) and not hasattr(x, "numpy")
