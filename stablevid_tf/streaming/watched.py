"""A model's step, with levels that show whether its memory is in its usual range."""

import functools
import math

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.streaming.tiled import Tiled

# The side of the blocks of input pixels that are averaged.
_BLOCK = 8
# One pixel of the state in so many is looked at, row after row: what goes wrong
# spreads by pixels every frame.
_STRIDE = 17
# In the unit of the frames: twice this much is no harm whatever a burst reaches.
_LEAST_OFF = 0.01


def watched(model):
    """A function `step(frames so far, state, watch) -> (frame, state, levels)`.

    Levels are a vector: the picture's (the largest difference between the restored
    frame and the input, averaged over blocks), then of each map of the state the
    largest magnitude, then of each the mean; None where `watch` is false.
    """
    tiled = isinstance(model, Tiled)
    levels_of = _compiled_levels(model.scale, 1 if tiled else _STRIDE)

    def step(frames, state, watch=True):
        frame = ops.convert_to_tensor(frames[-1][None])
        if state is None:
            state = model.initial_state(frame)
        out, state = model.step(frame, state)
        restored = ops.convert_to_numpy(out)[0]
        if not watch:
            return restored, state, None
        # The frame that `out` restores, if it has come in by now.
        source = frames[max(len(frames) - 1 - model.latency, 0)]
        seen = _sampled(state) if tiled else state
        levels = levels_of(seen, ops.convert_to_tensor(source[None]), out)
        return restored, state, ops.convert_to_numpy(levels)

    return step


@functools.cache
def _compiled_levels(scale, stride):
    return backend.compile(lambda *seen: _levels(*seen, scale, stride))


def _levels(state, frame, out, scale, stride):
    maps = [ops.convert_to_tensor(leaf) for leaf in keras.tree.flatten(state)]
    sampled = [ops.abs(_sample(m, stride)) for m in maps if len(m.shape) == 4]
    frame, out = ops.cast(frame, "float32"), ops.cast(out, "float32")
    mean = lambda x, s: ops.average_pool(x, _BLOCK * s, padding="same")  # noqa: E731
    off = mean(out - frame, 1) if scale == 1 else mean(out, scale) - mean(frame, 1)
    off = ops.maximum(ops.max(ops.abs(off)), _LEAST_OFF)
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


def means(levels):
    """The means of the maps."""
    return levels[len(levels) // 2 + 1 :]
