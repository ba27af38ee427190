"""Writes a new recurrent cell, holds its loop below gain 1, trains and streams it.

    python examples/new_cell.py my_clips

``keep = sigmoid(K_g x)``, ``m(t) = keep relu(K_m m(t-1)) + (1 - keep) x``.
"""

import argparse

import keras
from keras import ops

from stablevid_tf import constraints, data, models, numerics, streaming
from stablevid_tf.cells import RecurrentVideoCell
from stablevid_tf.layers.loop import ConvSlice, Loop


@keras.saving.register_keras_serializable(package="examples")
class GatedCell(RecurrentVideoCell):
    """A memory that each pixel keeps or replaces."""

    def __init__(self, features=32, **kwargs):
        super().__init__(**kwargs)
        self.features = features
        rule = self.constraint
        self.head = constraints.conv2d(rule, features, role="head")
        self.gate = constraints.conv2d(rule, features)
        self.memory = constraints.conv2d(rule, features, loop=(None, None))
        self.tail = constraints.conv2d(rule, self.channels, role="tail")

    def initial_state(self, frame):
        return (self.zeros(frame, self.features),)

    def call(self, frames, state):
        x = ops.relu(self.head(frames))
        keep = ops.sigmoid(self.gate(x))
        memory = keep * ops.relu(self.memory(state[0])) + (1 - keep) * x
        return frames + self.tail(memory), (memory,)

    def loops(self):
        # The gate sees the frame only and lies in (0, 1): it adds no gain.
        return [Loop("memory", ConvSlice(self.memory))]

    def get_config(self):
        return super().get_config() | {"features": self.features}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of clean videos")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=64, help="of the crops, in pixels")
    args = parser.parse_args(argv)

    clips = data.ClipDataset(args.folder, size=args.size, steps=args.steps, sigma=30)
    below_one = constraints.SRNC(alpha=0.95, where="loop")
    model = models.RecurrentRestorer(GatedCell(constraint=below_one))
    model.compile("adam", "mse")
    history = model.fit(clips, verbose=2)

    folded = model.fold()
    gain = folded.loops()[0].gain(lambda s: numerics.conv_norm_bound(s.conv.kernel))
    print(f"the memory's gain is certified: at most {gain:.3f}")
    noisy, _ = clips[0]
    count = sum(1 for _ in streaming.restore(folded, noisy[0]))
    print(f"{count} frames restored one by one")
    return history, folded


if __name__ == "__main__":
    main()
