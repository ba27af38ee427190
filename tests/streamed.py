"""A clip restored frame by frame, to be compared with the whole-clip call."""

import numpy as np


def streamed(model, frames):
    """The whole clip [B, T, ...], by steps: the start dropped, the end flushed."""
    state, found = model.initial_state(frames[:, 0]), []
    length = frames.shape[1]
    for t in range(length + model.latency):
        out, state = model.step(frames[:, min(t, length - 1)], state)
        assert out is not None
        found.append(np.array(out))
    return np.stack(found[model.latency :], 1)
