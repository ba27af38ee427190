import dataclasses

import keras
from keras import ops

from stablevid_tf.cells.cell_around import CellAround


@keras.saving.register_keras_serializable(package="stablevid_tf")
class StrengthCell(CellAround):
    """A cell that scales what another cell removes.

    For a strength S from 0 to 1 the output lies between the frame x and the restored
    frame r:

        r(t), h(t) = cell(x(t), h(t-1))
        y(t) = x(t) + S (r(t) - x(t))

    S = 0 returns the frame bit by bit and does not run the cell. For S from 1 to 2 a
    second pass, with a state of its own, restores the restored frames:

        q(t), g(t) = cell(r(t), g(t-1))
        y(t) = (2 - S) r(t) + (S - 1) q(t)

    y is continuous in S. The two states h and g form one nest, so whatever resets the
    state resets both. With a window of w frames the second pass needs the first pass
    of the w // 2 frames ahead, so the window becomes 2 w - 1.

    Args:
        cell: a `RecurrentVideoCell` of scale 1.
        strength: S, 0 to 2.

    Raises:
        ValueError: a cell that changes the frame size, or that expects a noise map;
            `strength` is out of range.
    """

    def __init__(self, cell, strength, **kwargs):
        if not 0 <= strength <= 2:
            raise ValueError(
                f"`strength={strength!r}` is out of range. Use a number from 0 (no "
                "change) to 2 (two passes)"
            )
        if cell.scale != 1:
            raise ValueError(
                "A strength blends input and output, which must have the same size. "
                f"Received: {type(cell).__name__} of scale {cell.scale}. Leave the "
                "strength at 1"
            )
        if cell.frame_channels != cell.channels:
            raise ValueError(
                f"{type(cell).__name__} expects a noise map, so its noise level is "
                "unknown. Set the level first, with models.at_noise_level"
            )
        super().__init__(cell, **kwargs)
        self.strength = float(strength)
        if strength > 1 and cell.causal:
            self.window = 2 * cell.window - 1

    def loops(self):
        """The cell's loops; of two passes, the first pass's and the second pass's.

        The first pass feeds the second, and nothing leads back. How the first pass's
        last state reaches the second pass's first one is not said (`feed=None`), so a
        certificate holds for every loop but has no matrix.
        """
        if self.strength == 0:
            return []
        loops = self.cell.loops()
        if self.strength <= 1 or not loops:
            return loops
        again = [
            dataclasses.replace(loop, name=f"{loop.name}, second pass")
            for loop in loops
        ]
        again[0] = dataclasses.replace(again[0], feed=None)
        return loops + again

    def build_by_call(self):
        # A strength of 0 does not call the cell, which has weights all the same.
        self.cell.build_by_call()
        super().build_by_call()

    def initial_state(self, frame):
        state = self.cell.start(frame)
        if self.strength <= 1:
            return state
        state = {"first": state, "second": self.cell.start(frame)}
        if self.cell.window > 1:
            frame = ops.zeros_like(frame)
            state["recent"] = ops.concatenate([frame] * (self.cell.window - 1), axis=-1)
            state["begun"] = ops.zeros((), "int32")
        return state

    def call(self, frames, state):
        frame = self.centre(frames)
        if self.strength == 0:
            return frame, state
        if self.strength <= 1:
            restored, state = self.cell.advance(frames, state)
            return self.blended(frame, restored), state
        if self.cell.window > 1:
            return self._windowed(frames, state)
        once, first = self.cell.advance(frames, state["first"])
        twice, second = self.cell.advance(once, state["second"])
        return self.blended(once, twice), {"first": first, "second": second}

    def blended(self, less, more):
        """Between a frame and its restoration, or between the first and second pass."""
        share = self.strength if self.strength <= 1 else self.strength - 1
        if share == 1:
            return more
        return less + share * (ops.cast(more, less.dtype) - less)

    def _windowed(self, frames, state):
        """Two passes of a cell that sees w frames.

        The second pass restores frame t, so the first one restores frame t + w // 2.
        `recent` holds the first pass of the w - 1 frames before that one.
        """
        window, half, channels = self.cell.window, self.cell.window // 2, self.channels
        part = lambda x, i, n: x[..., i * channels : (i + n) * channels]  # noqa: E731

        def begin():
            # The first pass of frames 0 to w // 2 - 1; frame 0 is repeated before them.
            passed, first = [], state["first"]
            for i in range(half):
                once, first = self.cell.advance(part(frames, half + i, window), first)
                passed.append(ops.cast(once, frames.dtype))
            return ops.concatenate([passed[0]] * half + passed, axis=-1), first

        recent, first = ops.cond(
            state["begun"] == 0, begin, lambda: (state["recent"], state["first"])
        )
        last, first = self.cell.advance(part(frames, 2 * half, window), first)
        seen = ops.concatenate([recent, ops.cast(last, recent.dtype)], axis=-1)
        twice, second = self.cell.advance(seen, state["second"])
        return self.blended(part(seen, half, 1), twice), {
            "first": first,
            "second": second,
            "recent": seen[..., channels:],
            "begun": ops.ones((), "int32"),
        }

    def get_config(self):
        return super().get_config() | {"strength": self.strength}
