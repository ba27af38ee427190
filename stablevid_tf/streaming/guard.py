import collections
import dataclasses
import functools
import itertools
import math
import operator

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.models.flushed import flushed
from stablevid_tf.streaming.scenes import scenes
from stablevid_tf.streaming.tiled import Tiled

# The side of the blocks of input pixels that are averaged.
_BLOCK = 8
# One pixel of the state in so many is looked at, row after row: what goes wrong
# spreads by pixels every frame.
_STRIDE = 17
# In the unit of the frames: twice this much is no harm whatever a burst reaches.
_LEAST_OFF = 0.01
_LEAST_HARM = 1 / 255
# Of the distance between the frame by itself and the burst's frame. A frame as far
# from the burst's as this has about the error of the frame by itself: it shares
# errors with the burst's that the frame by itself does not.
_HARM = 0.7
# A state that has grown by a tenth is worth a check; one that is well varies less.
_GROWTH = 1.1


@dataclasses.dataclass(frozen=True)
class Guard:
    """Strategy: the state is watched, and replaced when it goes astray.

    At every frame a few levels are taken: of each map of the state the largest and
    the mean magnitude, on one pixel in 17; and the largest difference between the
    restored frame and the input, both averaged over blocks of 8x8 input pixels, which
    a restoration should hardly change. What is usual is what a burst reaches: the
    last `burn_in + 1` frames, restored from the zero state.

    1. The first burst of a scene sets the usual levels. At a scene cut (see `scenes`)
       the state begins at zero.
    2. A check is made when a level exceeds `factor` times the usual one, when a mean
       magnitude has grown by a tenth since it was last checked, when a frame is not
       finite, and every `check_every` frames of a scene. The burst that ends at this
       frame is run beside the state: it gives a frame q and levels; and the frame by
       itself, which gives z.
    3. The burst's frame and state take over if a level exceeds `factor` times the
       burst's, or if memory does harm: the root mean square of out - q is above 0.7
       times that of z - q, and above 1/255. If not, the content has changed, not the
       model: the usual levels are raised, and nothing else happens. So a stable
       model's frames come out as they are.
    4. If the burst's frame is not finite either, the frame by itself takes over.

    What it cannot see: a failure within the burn-in, which is taken for usual (use
    `Dampen`). What it sees late: a slow drift in which the state does not grow, only
    at the next check; lower `check_every` for such a model. A check costs `burn_in +
    2` steps, more if the model looks ahead.

    Args:
        factor: above 1; how far beyond a burst's levels is out of range.
        burn_in: frames that warm a new state up; about as many as the model was
            trained on.
        check_every: frames from one check to the next in any case.

    Attributes:
        events: list of `(frame, reason)` of the last run, the frame counted from 0,
            the reason "scene cut", "state out of range", "picture off the input",
            "memory does harm" or "not finite".

    Raises:
        ValueError: an argument is outside; when restoring: a frame that is not finite
            even by itself.

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
    events: list = dataclasses.field(
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

    def run(self, model, frames):
        """Yields the restored frames, see `restore`."""
        self.events.clear()
        step, count = _watched(model), 0
        for scene, group in itertools.groupby(scenes(frames), operator.itemgetter(0)):
            if scene:
                self.events.append((count, "scene cut"))
            of_scene = flushed((frame for _, frame in group), model.latency)
            for out in self._scene(step, of_scene, count, model.latency):
                yield out
                count += 1

    def _scene(self, step, frames, first, latency):
        """Yields a scene's restored frames; `frames` are followed by the flush."""
        recent = collections.deque(maxlen=latency + 1 + self.burn_in)
        state, usual, checked = None, 0.0, 0.0
        for index, frame in enumerate(frames):
            recent.append(frame)
            out, state, levels = step(recent, state)
            if index < latency:
                continue
            young = index < recent.maxlen
            due = (index + 1) % self.check_every == 0
            grown = not young and any(_means(levels) > _GROWTH * checked)
            if due or grown or self._astray(out, levels, np.inf if young else usual):
                fresh, fresh_state, highest, harmless = _burst(step, recent, latency)
                reason = self._astray(out, levels, highest)
                if not reason and _distance(out, fresh) > harmless:
                    reason = "memory does harm"
                if reason:
                    self.events.append((first + index - latency, reason))
                    out, state, levels, checked = fresh, fresh_state, highest, 0.0
                usual = np.maximum(usual, highest)
                checked = np.maximum(checked, _means(levels))
            if young:
                usual = np.maximum(usual, levels)
                checked = _means(usual)
            yield out

    def _astray(self, out, levels, usual):
        """What speaks against a frame, or None."""
        if not np.isfinite(out).all():
            return "not finite"
        # Written so that NaN is beyond.
        picture, *state = ~(levels <= self.factor * usual)
        if any(state):
            return "state out of range"
        return "picture off the input" if picture else None


def _burst(step, recent, latency):
    """The burst that ends here: its last frame, state and highest levels.

    Beside them how far from its last frame another may be without harm.
    """
    frames = list(recent)
    out, state, highest = _from_zero(step, frames, latency)
    alone = _from_zero(step, frames[-1 - latency :], latency)
    if np.isfinite(out).all():
        return out, state, highest, max(_HARM * _distance(alone[0], out), _LEAST_HARM)
    if np.isfinite(alone[0]).all():
        return *alone, _LEAST_HARM
    raise ValueError(
        "the model's output is not finite even for a frame restored by itself, so it "
        "is not its memory that fails. Look at the frame and the weights"
    )


def _from_zero(step, frames, latency):
    state, highest = None, 0.0
    for index in range(len(frames)):
        out, state, levels = step(frames[: index + 1], state)
        if index >= latency:
            highest = np.maximum(highest, levels)
    return out, state, highest


def _distance(a, b):
    """Root mean square of a difference."""
    return np.sqrt(np.mean(np.square(a - b)))


def _watched(model):
    """`step(frames so far, state) -> (restored frame, state, levels)`."""
    tiled = isinstance(model, Tiled)
    levels_of = _compiled_levels(model.scale, 1 if tiled else _STRIDE)

    def step(frames, state):
        frame = ops.convert_to_tensor(frames[-1][None])
        if state is None:
            state = model.initial_state(frame)
        out, state = model.step(frame, state)
        # The frame that `out` restores, if it has come in by now.
        source = frames[max(len(frames) - 1 - model.latency, 0)]
        seen = _sampled(state) if tiled else state
        levels = levels_of(seen, ops.convert_to_tensor(source[None]), out)
        return ops.convert_to_numpy(out)[0], state, ops.convert_to_numpy(levels)

    return step


@functools.cache
def _compiled_levels(scale, stride):
    return backend.compile(lambda *seen: _levels(*seen, scale, stride))


def _levels(state, frame, out, scale, stride):
    """A vector: of the picture; the largest of each map; the mean of each map."""
    maps = [ops.convert_to_tensor(leaf) for leaf in keras.tree.flatten(state)]
    sampled = [ops.abs(_sample(m, stride)) for m in maps if len(m.shape) == 4]
    before, after = (
        ops.average_pool(ops.cast(x, "float32"), block, padding="same")
        for x, block in ((frame, _BLOCK), (out, _BLOCK * scale))
    )
    off = ops.maximum(ops.max(ops.abs(after - before)), _LEAST_OFF)
    return ops.stack([off, *map(ops.max, sampled), *map(ops.mean, sampled)])


def _sampled(state):
    """The sample of a state in host memory: only this much goes to the device."""
    maps = [m for m in keras.tree.flatten(state) if len(m.shape) == 4]
    return [m.reshape(-1, m.shape[-1])[None, None, ::_STRIDE] for m in maps]


def _sample(x, stride):
    # Gathered, not sliced with strides: ten times faster on a CPU.
    *space, channels = x.shape
    pixels = ops.reshape(x, (-1, channels))
    seen = ops.take(pixels, np.arange(0, math.prod(space), stride), axis=0)
    return ops.cast(seen, "float32")


def _means(levels):
    return levels[len(levels) // 2 + 1 :]
