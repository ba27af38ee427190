import dataclasses
import os
from typing import Any

import numpy as np

# Below this share of its largest value, an influence or a disturbance has died out.
_OVER = 0.01

# A run grows without end if each quarter of its frames adds this much more than the one
# before (a memory that sums up what comes in adds no more), to this many times the
# usual size.
_GROWTH, _LIMIT = 1.1, 10.0

# What must hold for a search to end early: the objective has risen by less than this,
# and influence and disturbance lie this much below their thresholds.
_RISE, _MARGIN = 1.1, 0.1


@dataclasses.dataclass(frozen=True)
class ReceptiveFieldResult:
    """A temporal receptive field; see `diagnostics.temporal_receptive_field`.

    Attributes:
        name: the model's name.
        inputs: `X`, [2 tau + 1, H, W, C] in [0, 1].
        outputs: `Y`, [2 tau + 1, s H, s W, C], neither clipped nor made finite.
        state: nest of arrays: the state after the last frame, or the last finite one.
        objective: `|p|` at each iteration.
        influence: influence of the frames -tau .. latency on `p`.
        disturbance: for each output 0 .. tau, the largest difference from the output
            of the same frames after the random past.
        state_sizes: [2 tau + 1], the largest absolute value in the state.
        usual_output, usual_state: the sizes in the first frames of the random start
            (for the output at least 1, the range of an image).
        overflow: whether the search ended because `p` was not finite; `X` is the input
            before that.
        verdicts: the verdict of every search, if there were several; this result is
            the worst.
    """

    name: str
    inputs: np.ndarray
    outputs: np.ndarray
    state: Any
    objective: np.ndarray
    influence: np.ndarray
    disturbance: np.ndarray
    state_sizes: np.ndarray
    usual_output: float
    usual_state: float
    overflow: bool = False
    verdicts: tuple[str, ...] = ()

    @property
    def tau(self) -> int:
        """Frames before and after the centre."""
        return len(self.inputs) // 2

    @property
    def iterations(self) -> int:
        """Number of iterations that were made."""
        return len(self.objective)

    @property
    def output_sizes(self) -> np.ndarray:
        """[2 tau + 1], the largest absolute value of each output."""
        return np.abs(self.outputs).max(axis=(1, 2, 3))

    @property
    def window(self) -> int:
        """The field's length in frames: from the first to the last frame with at least
        1 % of the largest influence; 0 if no frame has any."""
        if not self.influence.any():
            return 0
        (strong,) = np.nonzero(self.influence >= _OVER * self.influence.max())
        return int(strong[-1] - strong[0]) + 1

    @property
    def verdict(self) -> str:
        """ "stable", "diverges" or "undecided"."""
        if self._diverges():
            return "diverges"
        return "stable" if self._dies_out(quarters=1) else "undecided"

    def certain(self, settling: int) -> bool:
        """Whether a longer search can no longer change the verdict.

        Args:
            settling: iterations in which `|p|` must have risen by less than 10 %.
        """
        if self._diverges():
            return True
        recent, earlier = self.objective[-settling:], self.objective[:-settling]
        settled = len(earlier) >= settling and recent.max() <= _RISE * earlier.max()
        return bool(settled) and self._dies_out(quarters=2, margin=_MARGIN)

    def _diverges(self):
        return (
            self.overflow
            or self._grows(self.output_sizes, self.usual_output)
            or self._grows(self.state_sizes, self.usual_state)
        )

    def _grows(self, sizes, usual):
        if not np.isfinite(sizes).all():
            return True
        parts = np.array_split(sizes[self.tau + 1 :], min(4, self.tau))
        largest = np.array([part.max() for part in parts])
        added = np.diff(largest)
        return bool(
            added[0] > 0
            and np.all(added[1:] >= _GROWTH * added[:-1])
            and largest[-1] > _LIMIT * usual
        )

    def _dies_out(self, quarters, margin=1.0):
        """Whether so many quarters of the past and of the future have no influence."""
        over = margin * _OVER
        frames = -(-quarters * self.tau // 4)
        oldest, last = self.influence[:frames], self.disturbance[-frames:]
        in_range = self.output_sizes[-frames:].max() <= _LIMIT * self.usual_output
        return bool(
            self.influence.any()
            and oldest.max() <= over * self.influence.max()
            and last.max() <= over * self.disturbance.max()
            and in_range
        )

    def summary(self) -> str:
        """The verdict, its rule and its numbers, in plain sentences."""
        text = f"{self.name}: {self.verdict}, after {self.iterations} iterations."
        if len(self.verdicts) > 1:
            text += f" It is the worst of {len(self.verdicts)} searches."
        return f"{text} {getattr(self, f'_{self.verdict}_because')()}"

    def _diverges_because(self):
        finite = np.isfinite(self.output_sizes)
        if not finite.all():
            return (
                "With inputs in [0, 1], the output is not finite from frame "
                f"{int(np.argmin(finite)) - self.tau:+d} on."
            )
        if self.overflow:
            return (
                "With inputs in [0, 1], the output reached "
                f"{self.output_sizes.max():.3g}; the next input of the search made it "
                "overflow."
            )
        if self._grows(self.output_sizes, self.usual_output):
            what, sizes, usual = "output", self.output_sizes, self.usual_output
        else:
            what, sizes, usual = "state", self.state_sizes, self.usual_state
        return (
            f"On noise after the centre frame, the {what} grows to {sizes[-1]:.3g}, "
            f"each quarter of the {self.tau} frames adding a tenth more than the one "
            f"before; above {_LIMIT * usual:.3g} it is out of range."
        )

    def _stable_because(self):
        return (
            f"The field is {self.window} frames long: older frames have less than 1 % "
            "of the largest influence. In the last quarter of the outputs, the "
            "disturbance is less than 1 % of its largest value. The search found no "
            "harmful input, but this is not a proof."
        )

    def _undecided_because(self):
        if not self.influence.any():
            return "The centre pixel depends on no frame, so no search was possible."
        quarter = -(-self.tau // 4)
        oldest = self.influence[:quarter].max() / self.influence.max()
        last = self.disturbance[-quarter:].max()
        last = last / max(self.disturbance.max(), np.finfo("float32").tiny)
        return (
            "The disturbance neither grows without end nor dies out: the oldest "
            f"quarter of the frames has {100 * oldest:.2g} % of the largest influence, "
            f"the last quarter of the outputs {100 * last:.2g} % of the largest "
            "disturbance (at most 1 % would be stable). Try a larger tau."
        )

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write figure 3 of the paper as a PNG: `X` above, `Y` below, both clipped.

        It shows every fifth frame (of 81), with its offset from the centre above and
        the largest absolute value of the output below.
        """
        from matplotlib.figure import Figure

        offsets = np.arange(-self.tau, self.tau + 1, max(1, self.tau // 8))
        figure = Figure(figsize=(0.8 * len(offsets) + 0.4, 2.4), layout="constrained")
        axes = figure.subplots(2, len(offsets))
        for above, below, offset in zip(*axes, offsets, strict=True):
            at = offset + self.tau
            for axis, frames in ((above, self.inputs), (below, self.outputs)):
                shown = np.nan_to_num(frames[at], nan=0.0)
                axis.imshow(np.clip(shown, 0, 1), cmap="gray", vmin=0, vmax=1)
                axis.set(xticks=[], yticks=[])
            above.set_title(f"{offset:+d}" if offset else "0", fontsize=8)
            size = self.output_sizes[at]
            label = f"{size:.2g}" if np.isfinite(size) else "not finite"
            below.set_xlabel(label, fontsize=7)
        axes[0, 0].set_ylabel("X")
        axes[1, 0].set_ylabel("Y")
        figure.suptitle(
            f"{self.name}: {self.verdict}; frame offset above, max |Y| below",
            fontsize=9,
        )
        figure.savefig(path, dpi=150)
