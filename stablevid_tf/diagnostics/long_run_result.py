import dataclasses
import os

import numpy as np

# Probes at the end of a run whose median decides about drift.
_LAST = 3

# Share of the pixels that has gone to the bounds, beyond that of a fresh state.
_SATURATED = 0.5

# A state this many times larger than a fresh one grows without end.
_RUNAWAY = 1e6


@dataclasses.dataclass(frozen=True)
class LongRunResult:
    """The result of a long run; see `diagnostics.long_run`.

    `B` sequences ran side by side. Restored frames are counted, from 0.

    Attributes:
        name: the model's name.
        frames: restored frames per sequence.
        against: what the output is compared with: "reference" or "input".
        psnr: [points, B], dB, the lowest of every `stride` frames.
        saturation: [points, B], share of values within half an 8-bit step of 0 or 1,
            or beyond, the largest of every `stride` frames.
        stride: frames per point.
        events: [events, 2] integers, the frame and the sequence of every divergence.
        onsets: [events] frames since the state was last zero, the failing one
            included.
        nonfinite: number of restored frames with a NaN or an infinity.
        bounded: whether no value ever left [0, 1].
        probed: [probes], the frames at which a fresh state was compared.
        fresh: [probes, B], dB: the PSNR from a fresh state, or (without a
            reference) the PSNR of the long run's frame against the fresh one.
        fall: [probes, B], dB, the fall in quality.
        excess: [probes, B], saturation beyond that from a fresh state.
        growth: [probes, B], the largest absolute number in the state over that in a
            fresh one; infinite where one is NaN.
        drop: the fall in dB that counts as drift.
    """

    name: str
    frames: int
    against: str
    psnr: np.ndarray
    saturation: np.ndarray
    stride: int
    events: np.ndarray
    onsets: np.ndarray
    nonfinite: int
    bounded: bool
    probed: np.ndarray
    fresh: np.ndarray
    fall: np.ndarray
    excess: np.ndarray
    growth: np.ndarray
    drop: float

    @property
    def deciles(self) -> tuple[float, float]:
        """1st and 9th decile of the onsets, in frames; infinite without onsets."""
        if not len(self.onsets):
            return float("inf"), float("inf")
        first, ninth = np.percentile(self.onsets, [10, 90])
        return float(first), float(ninth)

    @property
    def verdict(self) -> str:
        """ "diverges", "drifts" or "stable": that of the worst sequence."""
        if len(self.onsets):
            return "diverges"
        fall = np.median(self.fall[-_LAST:], axis=0)
        excess = np.median(self.excess[-_LAST:], axis=0)
        saturated = (excess > _SATURATED) & (fall > self.drop / 3)
        drifts = (fall > self.drop) | saturated | (self._grown() > _RUNAWAY)
        return "drifts" if np.any(drifts) else "stable"

    def _grown(self):
        return np.median(self.growth[-_LAST:], axis=0)

    def summary(self) -> str:
        """The verdict, its rule and its numbers, in plain sentences."""
        ran = f"{self.name} over {self.frames:,} frames"
        if self.psnr.shape[1] > 1:
            ran += f" of each of {self.psnr.shape[1]} sequences"
        ran += f": {self.verdict}."
        said = [ran, self._divergence(), self._drift(), self._state(), self._bounds()]
        return " ".join(said)

    def _divergence(self):
        if not len(self.onsets):
            return f"PSNR against the {self.against} never fell below 0 dB."
        first, ninth = self.deciles
        text = (
            f"PSNR against the {self.against} fell below 0 dB; divergences: "
            f"{len(self.onsets):,}, 80 % of them between {first:,.0f} and "
            f"{ninth:,.0f} frames after the state was zero."
        )
        if self.nonfinite:
            text += f" {self.nonfinite:,} frames held a NaN or an infinity."
        return text

    def _drift(self):
        falls = np.median(self.fall[-_LAST:], axis=0)
        fall, worst = falls.max(), falls.argmax()
        if self.against == "reference":
            side = "below" if fall >= 0 else "above"
            return (
                f"At the end, quality is {abs(fall):.2f} dB {side} that from a fresh "
                f"state on the same frames; more than {self.drop:g} dB below is drift."
            )
        agreement = np.median(self.fresh[-_LAST:, worst])
        return (
            "At the end, the PSNR between the output and that from a fresh state is "
            f"{agreement:.1f} dB; below {agreement + fall - self.drop:.1f} dB is drift "
            f"({self.drop:g} dB less than early in the run, or than 40 dB)."
        )

    def _state(self):
        grown = self._grown().max()
        text = (
            f"The largest value in the state is {grown:.3g} times that in a fresh one"
        )
        if not grown > _RUNAWAY:
            return f"{text}."
        return (
            f"{text}. More than {_RUNAWAY:g} is drift: the state grows without end, "
            "even if the frames are still good; they will not stay so."
        )

    def _bounds(self):
        share = np.median(self.saturation[-_LAST:], axis=0).max()
        text = f"{100 * share:.0f} % of the values are at 0 or 1"
        if not self.bounded:
            return f"{text} or beyond."
        return (
            f"{text}. No value left [0, 1], so PSNR cannot fall below 0 dB: drift and "
            "saturation decide."
        )

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG of the PSNR over the frames, with the divergences marked."""
        from matplotlib.figure import Figure

        frames = np.minimum((np.arange(len(self.psnr)) + 1) * self.stride, self.frames)
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.add_subplot()
        lowest, highest = -5.0, 1.05 * self._highest()
        shown = np.clip(self.psnr, lowest, highest)
        lines = axes.plot(frames, shown, color="C0", linewidth=0.8)
        lines[0].set_label(f"long run against the {self.against}")
        label = "from a fresh state"
        if self.against == "input":
            label = "long run against a fresh state"
        dots = axes.plot(
            self.probed + 1,
            np.clip(self.fresh, lowest, highest),
            "o",
            color="C1",
            markersize=3,
        )
        dots[0].set_label(label)
        if len(self.events):
            axes.plot(
                self.events[:, 0] + 1,
                np.zeros(len(self.events)),
                "*",
                color="C2",
                label="divergence: state reset",
            )
        axes.set(
            xscale="log",
            xlim=(1, self.frames),
            ylim=(lowest, highest),
            xlabel="frame",
            ylabel="PSNR (dB)",
            title=f"{self.name}: {self.verdict}",
        )
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.legend(loc="best", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=150)

    def _highest(self):
        """The greatest finite value of the picture, at most 100 dB."""
        values = np.concatenate([self.psnr.ravel(), self.fresh.ravel()])
        return np.max(values[np.isfinite(values) & (values < 100)], initial=10.0)
