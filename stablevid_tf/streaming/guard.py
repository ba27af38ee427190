import collections
import dataclasses
import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from stablevid_tf.models.dampened import can_dampen
from stablevid_tf.models.flushed import flushed
from stablevid_tf.streaming.scenes import scenes
from stablevid_tf.streaming.tiled import dampened_twin
from stablevid_tf.streaming.watched import means, watched

_LEAST_HARM = 1 / 255
# Of the distance between the frame by itself and the burst's frame. A frame as far
# from the burst's as this has about the error of the frame by itself: it shares
# errors with the burst's that the frame by itself does not.
_HARM = 0.7
# A state that has grown by a tenth is worth a check; one that is well varies less.
_GROWTH = 1.1
# Frames from one measurement of the levels to the next: it costs 3 to 5 % of a step.
_WATCH_EVERY = 4
# The least worth of memory: half is none, one is all that can be had.
_WORTH = 0.6
# Frames between two looks at it. A look costs one step.
_LOOK_EVERY = 200
# The dampening of a model that fails twice within so many frames.
_SOON = 100
_DAMPEN = 0.9


@dataclasses.dataclass(frozen=True)
class Guard:
    """Strategy: watch the state, and replace it when it fails.

    The guard compares the model with a *burst*: the last `burn_in + 1` frames, restored
    from the zero state. At every fourth frame it measures *levels*: for each map of the
    state the largest and the mean magnitude, on one pixel in 17; and the largest
    difference between the restored frame and the input, both averaged over blocks of
    8x8 input pixels, which a restoration should hardly change. The usual levels are
    those that a burst reaches. Every frame is checked for values that are not finite.

    1. The first burst of a scene sets the usual levels. At a scene cut (see `scenes`)
       the state is reset to zero.
    2. The benefit of memory is measured every 200 frames of a scene, sooner at its
       beginning and after an event, for models of scale 1 that do not look ahead. The
       frame before, restored by itself, gives z. The benefit is the lambda that
       minimises the error of z + lambda (out - z), where out is the restored frame.
       The truth is replaced by the next input y, whose noise neither z nor out has
       seen:

           lambda = 1/2 + (|z - y|^2 - |out - y|^2) / (2 |out - z|^2)

       At 1/2 memory has no benefit; below 0.6 it is suspect.
    3. A check is made if memory is suspect, if a level exceeds `factor` times the usual
       one, if a mean magnitude has grown by a tenth since its last check, if a frame is
       not finite, and, for a model whose benefit of memory is not measured, every
       `check_every` frames of a scene. A check restores the burst that ends at this
       frame, which gives a frame q and levels, and the frame by itself, which gives z.
    4. The burst's frame and state replace the model's if a level exceeds `factor` times
       the burst's; or if memory does harm: the root mean square of out - q is above 0.7
       times that of z - q, and above 1/255; or if memory is suspect and the burst is
       nearer to y. Otherwise the content has changed, not the model: the usual levels
       are raised, and nothing else happens. So the frames of a stable model are not
       changed.
    5. If the state is replaced again within 100 frames, a new state is not enough:
       until the end of the scene the model's memory is dampened by 0.9 (see
       `models.dampened`), once more each time.
    6. If the burst's frame is not finite either, the frame restored by itself is used.

    The guard cannot detect a failure within the burn-in, which sets the usual levels
    (use `Dampen`). It detects slowly growing harm late if the state does not grow: at
    the next measurement of the benefit, or, for a model that looks ahead or enlarges,
    at the next check (lower `check_every` for such a model). A check costs
    `burn_in + 2` steps, more if the model looks ahead.

    Args:
        factor: above 1; a level beyond `factor` times the burst's is out of range.
        burn_in: frames that warm up a new state; about as many as the model was
            trained on.
        check_every: for a model that looks ahead or enlarges, frames between checks;
            for other models, frames from a measurement that found memory suspect, but
            no better state, to the next.

    Attributes:
        events: list of `(frame, reason)` of the last run. Frames are counted from 0.
            The reason is "scene cut", "state out of range", "picture off the input",
            "memory does harm", "not finite" or, after one of these, "dampened to"
            and the factor.

    Raises:
        ValueError: an argument is out of range; when restoring: a frame that is not
            finite even if restored by itself.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, streaming
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> frames = [np.full([16, 24, 3], t > 5, "float32") for t in range(12)]
        >>> guard = streaming.Guard()
        >>> len(list(streaming.restore(model, frames, strategy=guard)))
        12
        >>> guard.events
        [(6, 'scene cut')]
    """

    factor: float = 2.0
    burn_in: int = 7
    check_every: int = 500
    events: list[tuple[int, str]] = dataclasses.field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self):
        if not self.factor > 1:
            raise ValueError(
                f"factor must be above 1, e.g. 2. Received: factor={self.factor!r}"
            )
        for name in ("burn_in", "check_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"{name} must be 1 frame or more. Received: {name}={value!r}"
                )

    def run(self, model: Any, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the restored frames, see `restore`."""
        self.events.clear()
        count = 0
        for scene, group in itertools.groupby(scenes(frames), operator.itemgetter(0)):
            if scene:
                self.events.append((count, "scene cut"))
            of_scene = flushed((frame for _, frame in group), model.latency)
            for out in self._scene(model, of_scene, count):
                yield out
                count += 1

    def _scene(self, model, frames, first):
        """Yields a scene's restored frames; `frames` are followed by the flush."""
        step, dampening, latency = watched(model), 1.0, model.latency
        recent = collections.deque(maxlen=latency + 1 + self.burn_in)
        state, usual, checked, last = None, 0.0, 0.0, None
        can_look = model.scale == 1 and not latency
        first_gap = gap = look = 2 * (self.burn_in + 1)
        tripped = -np.inf
        for index, frame in enumerate(frames):
            recent.append(frame)
            young = index < recent.maxlen
            due = not can_look and (index + 1) % self.check_every == 0
            suspect = False
            if can_look and index == look:
                alone, *_ = step(list(recent)[-2:-1], None, watch=False)
                suspect = _worth(last, alone, frame) < _WORTH
                gap = min(2 * gap, _LOOK_EVERY)
                look = index + (self.check_every if suspect else gap)
            watch = young or due or suspect or index % _WATCH_EVERY == 0
            out, state, levels = step(recent, state, watch)
            if index < latency:
                continue
            grown = watch and not young and any(means(levels) > _GROWTH * checked)
            limit = np.inf if young else usual
            if due or grown or suspect or self._astray(out, levels, limit):
                burst = _burst(step, recent, latency)
                reason = self._astray(out, levels, burst.levels)
                if not reason and (
                    _distance(out, burst.out) > burst.harmless
                    or (suspect and _nearer(burst.before, last, frame))
                ):
                    reason = "memory does harm"
                if reason:
                    at = first + index - latency
                    self.events.append((at, reason))
                    if index - tripped < _SOON and can_dampen(model):
                        dampening *= _DAMPEN
                        self.events.append((at, f"dampened to {dampening:.2f}"))
                        step = watched(dampened_twin(model, dampening))
                        burst = _burst(step, recent, latency)
                    out, state, levels = burst.out, burst.state, burst.levels
                    checked, tripped, gap = 0.0, index, first_gap
                    look = index + gap
                usual = np.maximum(usual, burst.levels)
                checked = np.maximum(checked, means(levels))
            if young:
                usual = np.maximum(usual, levels)
                checked = means(usual)
            last = out
            yield out

    def _astray(self, out, levels, usual):
        """The reason why a frame is bad, or None."""
        if not np.isfinite(out).all():
            return "not finite"
        if levels is None:
            return None
        # Written so that NaN is beyond.
        picture, *state = ~(levels <= self.factor * usual)
        if any(state):
            return "state out of range"
        return "picture off the input" if picture else None


@dataclasses.dataclass(frozen=True)
class _Burst:
    """A burst's last frame, state and highest levels, and the frame before its last.

    Beside them how far from its last frame another may be without harm.
    """

    out: np.ndarray
    state: object
    levels: np.ndarray
    before: np.ndarray
    harmless: float = _LEAST_HARM


def _burst(step, recent, latency):
    """The burst that ends here, or the frame by itself if that is not finite."""
    frames = list(recent)
    burst = _from_zero(step, frames, latency)
    alone = _from_zero(step, frames[-1 - latency :], latency)
    if np.isfinite(burst.out).all():
        off = _HARM * _distance(alone.out, burst.out)
        return dataclasses.replace(burst, harmless=max(off, _LEAST_HARM))
    if np.isfinite(alone.out).all():
        return alone
    raise ValueError(
        "The model's output is not finite even for a frame restored by itself, so the "
        "cause is not its memory. Check the frame and the weights"
    )


def _from_zero(step, frames, latency=0):
    """The burst of these frames."""
    state, highest, before, out = None, 0.0, None, None
    for index in range(len(frames)):
        before = out
        out, state, levels = step(frames[: index + 1], state)
        if index >= latency:
            highest = np.maximum(highest, levels)
    # By itself a frame has none before it.
    return _Burst(out, state, highest, out if before is None else before)


def _worth(out, alone, truth):
    """The benefit of memory, see `Guard`; 1 if `alone` and `out` hardly differ."""
    way = _distance(out, alone) ** 2
    if way < _LEAST_HARM**2:
        return 1.0
    gain = _distance(alone, truth) ** 2 - _distance(out, truth) ** 2
    return 0.5 + gain / (2 * way)


def _nearer(one, other, truth):
    """Whether `one` is nearer to `truth` than `other`, and not nearly the same."""
    return _distance(one, other) > _LEAST_HARM and _distance(one, truth) < _distance(
        other, truth
    )


def _distance(a, b):
    """Root mean square of a difference."""
    return np.sqrt(np.mean(np.square(a - b)))
