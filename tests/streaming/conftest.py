import numpy as np
import pytest


class Delay:
    """Gives back the frames it was given, `latency` steps later, enlarged.

    It keeps the contract of a model: an array state, one output per step.
    """

    name, causal = "delay", True

    def __init__(self, latency=0, scale=1, channels=3):
        self.latency, self.scale, self.channels = latency, scale, channels
        self.started = 0

    def initial_state(self, frame):
        self.started += 1
        return [np.full_like(frame, 9.0)] * self.latency

    def step(self, frame, state):
        state = [*state, np.asarray(frame)]
        large = np.asarray(state[0]).repeat(self.scale, 1).repeat(self.scale, 2)
        return large, state[1:]


@pytest.fixture
def delay():
    """The class above."""
    return Delay
