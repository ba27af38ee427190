import collections
import dataclasses
import functools
import itertools
import operator

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.streaming.scenes import scenes
from stablevid_tf.streaming.steps import flushed

# Pixels of the input: the side of the blocks that are averaged, and the stride at
# which the state is looked at. What goes wrong spreads by pixels every frame.
_BLOCK, _STRIDE = 8, 4
# In the unit of the frames: twice this much is no harm whatever a burst reaches.
_LEAST_OFF = 0.01


@dataclasses.dataclass(frozen=True)
class Guard:
    """Strategy: the state is watched, and replaced when it goes astray.

    At every frame a few levels are taken: of each map of the state the largest
    magnitude, on every fourth pixel of every fourth row; and the largest difference
    between the restored frame and the input, both averaged over blocks of 8x8 input
    pixels, which a restoration should hardly change. Their usual range is what a
    burst reaches: the last `burn_in + 1` frames, restored from the zero state.

    1. The first burst of a scene sets the usual range.
    2. When a level exceeds `factor` times its usual range, the burst that ends at
       this frame is run anew. If the level exceeds `factor` times what that burst
       reaches, the burst's last frame goes out in place of the frame, and the burst's
       state takes over. If not, it is the content that has changed: only the range
       is renewed, and nothing else.
    3. A frame that is not finite is replaced in the same way: by the burst's, or, if
       that is not finite either, by the frame restored by itself.
    4. At a scene cut (see `scenes`) the state begins at zero.

    What it cannot see: a failure within the burn-in, which is taken for usual (use
    `Dampen`); one that grows past `factor` nowhere, such as a texture that slowly
    fades or a wrong colour below twice the usual block differences. A false alarm
    costs the time of a burst; a true one no more.

    Args:
        factor: above 1; how far beyond a burst's levels is out of range.
        burn_in: frames that warm a new state up; 0 restores the frame by itself.

    Attributes:
        events: list of `(frame, reason)` of the last run, the frame counted from 0,
            the reason "scene cut", "state out of range", "picture off the input" or
            "not finite".

    Raises:
        ValueError: an argument is outside; when restoring: a frame that is not finite
            even when it is restored by itself.

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
    events: list = dataclasses.field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self):
        if not self.factor > 1:
            raise ValueError(
                f"factor must be above 1, e.g. 2. Received: factor={self.factor!r}"
            )
        if not isinstance(self.burn_in, int) or self.burn_in < 0:
            raise ValueError(
                f"burn_in must be 0 frames or more. Received: burn_in={self.burn_in!r}"
            )

    def run(self, model, frames):
        """Yields the restored frames, see `restore`."""
        self.events.clear()
        step, count = _watched(model), 0
        for scene, group in itertools.groupby(scenes(frames), operator.itemgetter(0)):
            if scene:
                self.events.append((count, "scene cut"))
            frames_of_scene = flushed((frame for _, frame in group), model.latency)
            for out in self._scene(step, frames_of_scene, count, model.latency):
                yield out
                count += 1

    def _scene(self, step, frames, first, latency):
        """Yields a scene's restored frames; `frames` are followed by the flush."""
        recent = collections.deque(maxlen=latency + 1 + self.burn_in)
        state, usual = None, 0.0
        for index, frame in enumerate(frames):
            recent.append(frame)
            out, state, levels = step(recent, state)
            if index < latency:
                continue
            young = index < recent.maxlen
            reason = self._reason(out, levels, np.inf if young else usual)
            if reason:
                fresh, fresh_state, levels_of_burst = self._burst(step, recent, latency)
                if self._reason(out, levels, levels_of_burst):
                    self.events.append((first + index - latency, reason))
                    out, state = fresh, fresh_state
                usual = np.maximum(usual, levels_of_burst)
            elif young:
                usual = np.maximum(usual, levels)
            yield out

    def _reason(self, out, levels, usual):
        if not np.isfinite(out).all():
            return "not finite"
        # Written so that NaN is beyond.
        *state, picture = ~(levels <= self.factor * usual)
        if any(state):
            return "state out of range"
        return "picture off the input" if picture else None

    def _burst(self, step, recent, latency):
        """The last frame, state, and highest levels of the burst that ends here."""
        frames = list(recent)
        for burst in (frames, frames[-1 - latency :]):
            state, highest = None, 0.0
            for index in range(len(burst)):
                out, state, levels = step(burst[: index + 1], state)
                if index >= latency:
                    highest = np.maximum(highest, levels)
            if np.isfinite(out).all():
                return out, state, highest
        raise ValueError(
            "the model's output is not finite even for a frame restored by itself, "
            "so it is not its memory that fails. Look at the frame and the weights"
        )


def _watched(model):
    """`step(frames so far, state) -> (restored frame, state, levels)`."""
    levels_of = _compiled_levels(model.scale)

    def step(frames, state):
        frame = ops.convert_to_tensor(frames[-1][None])
        if state is None:
            state = model.initial_state(frame)
        out, state = model.step(frame, state)
        # The frame that `out` restores, if it has come in by now.
        source = frames[max(len(frames) - 1 - model.latency, 0)]
        levels = levels_of(state, ops.convert_to_tensor(source[None]), out)
        return ops.convert_to_numpy(out)[0], state, ops.convert_to_numpy(levels)

    return step


@functools.cache
def _compiled_levels(scale):
    return backend.compile(lambda *seen: _levels(*seen, scale))


def _levels(state, frame, out, scale):
    """The levels that are watched, a vector; the last is of the picture."""
    maps = [ops.convert_to_tensor(leaf) for leaf in keras.tree.flatten(state)]
    largest = [
        ops.max(ops.abs(ops.cast(m[:, ::_STRIDE, ::_STRIDE], "float32")))
        for m in maps
        if len(m.shape) == 4
    ]
    before, after = (
        ops.average_pool(ops.cast(x, "float32"), block, padding="same")
        for x, block in ((frame, _BLOCK), (out, _BLOCK * scale))
    )
    off = ops.maximum(ops.max(ops.abs(after - before)), _LEAST_OFF)
    return ops.stack([*largest, off])
