import csv
import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from stablevid_tf.evaluation.protocol import Protocol
from stablevid_tf.metrics.temporal_profile import save_picture

_LABELS = {
    "psnr": "PSNR of {} (dB)",
    "ssim": "SSIM of {}",
    "lpips": "LPIPS",
    "tof": "tOF (pixels)",
    "warping_error": "warping error",
}
# Clips that a plot's legend names.
_NAMED = 8
_HIGHEST = 100.0


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The measures that `evaluation.evaluate` returns.

    Attributes:
        protocol: an `evaluation.Protocol`.
        name: the model's name.
        rows: one dictionary per clip: `clip`, `frames`, and the measures.
        curves: `{clip: {metric: [value of each frame]}}`; tOF and the warping error
            have a value for each frame from the second on, with the frame before it.
        profiles: `{clip: [2 T + 4, W, C]}`, with `profiles=True`: the middle row of the
            truth over time, a gap, and below it that of the restored clip.
        left_out: the reason for each clip that could not be measured.
        given: whether degraded clips were given besides the truth.
    """

    protocol: Protocol
    name: str
    rows: list[dict[str, Any]]
    curves: dict[str, dict[str, list[float]]]
    profiles: dict[str, np.ndarray]
    left_out: list[str]
    given: bool = False

    @property
    def mean(self) -> dict[str, float]:
        """Each measure's mean over clips; see `mean_of` for missing values."""
        measures = [key for key in self.rows[0] if key not in ("clip", "frames")]
        return {key: mean_of(key, [row[key] for row in self.rows]) for key in measures}

    def table(self) -> str:
        """A Markdown table with a header and one row."""
        head = ["protocol", "model", "clips", *self.mean]
        count = str(len(self.rows))
        if self.left_out:
            count += f" of {len(self.rows) + len(self.left_out)}"
        row = [self.protocol.name, self.name, count]
        row += [shown(key, value) for key, value in self.mean.items()]
        lines = [head, ["---"] * len(head), row]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Writes `results.csv` and the pictures.

        Args:
            folder: created if it does not exist. `results.csv` has one row per clip
                and their mean last; `psnr.png` and the like show every frame's value;
                `profile_CLIP.png` shows the temporal profile of a clip.

        Returns:
            The paths of the files.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "results.csv"]
        partial = folder / "results.csv.partial"
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["protocol", "model", *self.rows[0]])
            writer.writeheader()
            total = sum(row["frames"] for row in self.rows)
            for row in (*self.rows, {"clip": "mean", "frames": total} | self.mean):
                who = {"protocol": self.protocol.name, "model": self.name}
                writer.writerow(who | row)
        os.replace(partial, paths[0])
        for metric in next(iter(self.curves.values())):
            paths.append(folder / f"{metric}.png")
            self.plot(metric, paths[-1])
        for clip, profile in self.profiles.items():
            paths.append(folder / f"profile_{clip}.png")
            save_picture(profile, paths[-1])
        return paths

    def plot(self, metric: str, path: str | os.PathLike[str]) -> None:
        """Writes a PNG of one metric of every frame of every clip, and their mean.

        The mean ends with the shortest clip.
        """
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(8, 3.5), layout="constrained")
        axes = figure.add_subplot()
        curves = {c: np.minimum(v[metric], _HIGHEST) for c, v in self.curves.items()}
        longest = max(map(len, curves.values()))
        first = 1 + (longest < max(row["frames"] for row in self.rows))
        few = len(curves) <= _NAMED
        for number, (clip, values) in enumerate(curves.items()):
            axes.plot(
                first + np.arange(len(values)),
                values,
                color=f"C{number % 10}" if few else "0.75",
                linewidth=1.0 if few else 0.6,
                marker="." if longest < 40 else None,
                label=clip if few else None,
            )
        if len(curves) > 1:
            # Only as far as all clips go: where one ends, the mean would jump.
            columns = zip(*curves.values(), strict=False)
            means = [mean_of(metric, column) for column in columns]
            frames = first + np.arange(len(means))
            label = f"mean of {len(curves)} clips"
            axes.plot(frames, means, color="black", linewidth=1.8, label=label)
        axes.set(
            xlabel="frame",
            ylabel=_LABELS[metric].format("luma" if self.protocol.y else "RGB"),
            title=f"{self.name}, protocol {self.protocol.name}",
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8
        )
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=150)


def shown(column, value):
    """A measure as text: two decimals for dB, four for other measures."""
    return f"{value:.2f}" if column.startswith("psnr") else f"{value:.4f}"


def mean_of(measure, values):
    """The mean of a measure's values; NaN if a restored frame holds a NaN.

    Only the warping error can have no value, if no pixel is visible in both frames:
    such frames are ignored.

    Example:
        >>> from stablevid_tf.evaluation.evaluation_result import mean_of
        >>> mean_of("psnr", [30.0, float("nan")])
        nan
        >>> mean_of("warping_error", [0.25, float("nan")])
        0.25
    """
    if measure.startswith("warping_error"):
        values = [value for value in values if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")
