import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from stablevid_tf import backend
from stablevid_tf.diagnostics.subject import Subject
from stablevid_tf.models import RecurrentRestorer

# Frames in which a random perturbation turns to the direction of growth: not counted.
_BURN_IN = 10


@dataclasses.dataclass(frozen=True)
class LyapunovResult:
    """How fast a perturbation grows; see `diagnostics.lyapunov`.

    Attributes:
        name: the model's name.
        per_frame: [frames], natural logarithm of each frame's growth; -inf if the
            perturbation has vanished, NaN if the state is not finite.
        burn_in: number of first frames that are not counted.
    """

    name: str
    per_frame: np.ndarray
    burn_in: int

    @property
    def rate(self) -> float:
        """Mean over the counted frames with a finite state, per frame."""
        counted = self._counted()
        return float(counted.mean()) if len(counted) else float("nan")

    @property
    def verdict(self) -> str:
        """ "contracts" or "expands" if both halves of the frames agree, otherwise
        "undecided"."""
        if np.isnan(self.per_frame).any():
            return "expands"
        halves = [part.mean() for part in np.array_split(self._counted(), 2)]
        if max(halves) < 0:
            return "contracts"
        return "expands" if min(halves) > 0 else "undecided"

    def _counted(self):
        counted = self.per_frame[self.burn_in :]
        return counted[~np.isnan(counted)]

    def summary(self) -> str:
        """The verdict, its rule and its numbers, in plain sentences."""
        if np.isnan(self.per_frame).any():
            at = int(np.isnan(self.per_frame).argmax())
            return f"{self.name} expands: its state is not finite from frame {at} on."
        if np.isneginf(self.rate):
            at = int(np.isneginf(self.per_frame).argmax())
            return (
                f"{self.name} contracts: a perturbation of the state has vanished "
                f"after {at + 1} frames."
            )
        return (
            f"{self.name}: {self.verdict}. On this video, a small perturbation of the "
            f"state is multiplied by {np.exp(self.rate):.3f} per frame, rate "
            f"{self.rate:+.4f} (mean of {len(self._counted())} frames; both halves "
            "must agree on the sign)."
        )

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG of the logarithm of the perturbation's size over the frames."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.add_subplot()
        shown = self.per_frame[np.isfinite(self.per_frame)]
        t = np.arange(1, len(shown) + 1)
        axes.plot(t, np.cumsum(shown), color="C0", label="perturbation")
        if np.isfinite(self.rate):
            start = shown[: self.burn_in].sum()
            mean = start + self.rate * (t - self.burn_in)
            axes.plot(
                t[self.burn_in :], mean[self.burn_in :], "--", color="C1", label="rate"
            )
        axes.set(
            xlabel="frame",
            ylabel="log of the size",
            title=f"{self.name}: {self.verdict}, {self.rate:+.4f} per frame",
        )
        axes.legend(loc="best", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=150)


def lyapunov(model: Any, frames: Iterable[ArrayLike], seed: int = 0) -> LyapunovResult:
    """Measure the rate at which a small perturbation of the state grows on a video.

    With `h(t) = phi(h(t-1), x(t))` and `D(t)` its derivative with respect to `h(t-1)`:

        v(t) = D(t) v(t-1) / ||v(t-1)||,     rate = mean over t of log ||v(t)||

    from a random `v(0)`: the largest Lyapunov exponent of the model driven by this
    video, in nats per frame. Below 0, the model forgets its past at that rate. Above 0,
    two runs with a tiny difference diverge from each other. The cost is one
    forward-mode product per frame. The direction is normalised at every frame, so that
    it does not overflow. The first ten frames are run but not counted.

    Only the fed-back state is perturbed: not the input frames that a window holds, and
    no integers. The rate holds for this video only.

    Args:
        model: see `diagnostics.subject.Subject`.
        frames: iterable of [H, W, C], floating in [0, 1] give or take noise; at least
            12 plus the model's latency.
        seed: integer, seed of the perturbation.

    Returns:
        `LyapunovResult`, with `.rate` and `.per_frame`.

    Raises:
        ValueError: the model is not recurrent; there are too few frames, or one has
            another shape.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import diagnostics, models
        >>> model = models.build("vresnet_feat", features=4, blocks=1)
        >>> video = np.random.default_rng(0).uniform(size=(20, 8, 8, 3))
        >>> diagnostics.lyapunov(model, video).per_frame.shape
        (20,)
    """
    subject = Subject(model)
    growth, shape, state = [], None, None
    advance = backend.compile(lambda f, s, d: _advance(subject, f, s, d))
    for index, frame in enumerate(frames):
        frame = np.asarray(frame)
        shape = frame.shape if shape is None else shape
        _check(frame, index, shape, subject.channels)
        frame = ops.convert_to_tensor(frame[None].astype("float32"))
        if state is None:
            state = subject.initial_state(frame)
            direction = _random_direction(subject, state, seed)
        state, direction, size, finite = advance(frame, state, direction)
        growth.append(_log(float(size)) if bool(finite) else np.nan)
    # Until the window is full nothing is remembered, and nothing grows.
    burn_in = _BURN_IN + subject.latency
    if len(growth) < burn_in + 2:
        raise ValueError(
            f"A Lyapunov rate needs at least {burn_in + 2} frames. Received: "
            f"{len(growth)}. Use a longer video."
        )
    return LyapunovResult(subject.name, np.array(growth), burn_in)


def _log(size):
    if not np.isfinite(size):
        return np.nan
    return np.log(size) if size > 0 else -np.inf


def _check(frame, index, shape, channels):
    wrong = frame.ndim != 3 or frame.shape[-1] != channels or frame.shape != shape
    if wrong or not np.issubdtype(frame.dtype, np.floating):
        raise ValueError(
            f"Frame {index} must be floating in [0, 1], [height, width, {channels}], "
            f"as large as frame 0. Received: {frame.dtype} of shape {frame.shape}"
        )


def _floating(leaf):
    return "float" in keras.backend.standardize_dtype(leaf.dtype)


def _random_direction(subject, state, seed):
    """A perturbation of norm 1 for every floating leaf, as a list."""
    random = np.random.default_rng(seed)
    fed_back = keras.tree.map_structure(lambda leaf: True, state)
    if isinstance(subject.model, RecurrentRestorer) and subject.model.window > 1:
        fed_back["frames"] = False
    found = []
    marks = keras.tree.flatten(fed_back)
    for leaf, mark in zip(keras.tree.flatten(state), marks, strict=True):
        if _floating(leaf):
            values = random.standard_normal(leaf.shape) * mark
            found.append(ops.convert_to_tensor(values.astype("float32")))
    return _normalised(found)[0]


def _normalised(direction):
    """`(direction of norm 1, its norm)`; a direction of zeros stays one."""
    square = sum((ops.sum(ops.square(d)) for d in direction), ops.zeros(()))
    size = ops.sqrt(square)
    by = ops.where(size > 0, size, 1.0)
    return [d / by for d in direction], size


def _advance(subject, frame, state, direction):
    """A frame: `(state, direction, growth, whether the state is finite)`."""
    leaves = keras.tree.flatten(state)
    floating = [_floating(leaf) for leaf in leaves]

    def step(moving):
        moving = iter(moving)
        joined = [
            next(moving) if f else leaf
            for leaf, f in zip(leaves, floating, strict=True)
        ]
        joined = keras.tree.pack_sequence_as(state, joined)
        new = keras.tree.flatten(subject.step(frame, joined)[1])
        # Integers have no derivative, and forward mode wants one of everything.
        return [ops.cast(leaf, "float32") for leaf in new]

    moving = [leaf for leaf, f in zip(leaves, floating, strict=True) if f]
    along = [ops.cast(d, leaf.dtype) for d, leaf in zip(direction, moving, strict=True)]
    new, along = backend.jvp(step, moving, along) if moving else (step([]), [])
    finite = ops.convert_to_tensor(True)
    for leaf in new:
        finite = ops.logical_and(finite, ops.all(ops.isfinite(leaf)))
    new = [ops.cast(n, leaf.dtype) for n, leaf in zip(new, leaves, strict=True)]
    # Without a floating leaf there are no products at all.
    along = [a for a, f in zip(along, floating, strict=False) if f]
    direction, size = _normalised(along)
    return keras.tree.pack_sequence_as(state, new), direction, size, finite
