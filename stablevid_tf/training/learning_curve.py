import contextlib
import csv
import os
from pathlib import Path
from typing import Any

import keras

from stablevid_tf.training.replaced import replaced


class LearningCurve(keras.callbacks.Callback):
    """Plot the log of `keras.callbacks.CSVLogger` after every epoch, as a PNG.

    Each metric has one panel, with its training and validation curves. If an epoch is
    in the log twice, for example after a resumed run, the last line counts.

    Put it after the logger in the list of callbacks.

    Args:
        log: the CSV file.
        path: path of the picture. Default: that of the log, with the suffix `.png`.

    Example:
        >>> import keras
        >>> from stablevid_tf.training import LearningCurve
        >>> callbacks = [
        ...     keras.callbacks.CSVLogger("log.csv", append=True),
        ...     LearningCurve("log.csv"),
        ... ]
    """

    def __init__(
        self, log: str | os.PathLike[str], path: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__()
        self.log = Path(log)
        self.path = self.log.with_suffix(".png") if path is None else Path(path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        curves = read(self.log)
        if curves:
            draw(curves, self.path)


def read(log):
    """The metrics in a log, `{name: {epoch: value}}`; only numbers are read."""
    curves = {}
    with open(log, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = {}
            for name, text in row.items():
                # Keras' "NA", a second header, or a line cut off by a kill.
                with contextlib.suppress(TypeError, ValueError):
                    values[name] = float(text)
            epoch = values.pop("epoch", None)
            if epoch is not None:
                for name, value in values.items():
                    curves.setdefault(name, {})[int(epoch)] = value
    return curves


def draw(curves, path):
    """Plot curves that `read` returned."""
    from matplotlib.figure import Figure

    names = [n for n in curves if n.removeprefix("val_") == n or n[4:] not in curves]
    figure = Figure(figsize=(6, 2.6 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), squeeze=False)[:, 0]
    for axis, name in zip(axes, names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in curves:
                epochs, values = zip(*sorted(curves[key].items()), strict=True)
                marker = "." if len(epochs) < 50 else None
                axis.plot([e + 1 for e in epochs], values, marker=marker, label=label)
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
        if f"val_{name}" in curves:
            axis.legend()
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[-1].set_xlabel("epoch")
    with replaced(path) as partial:
        figure.savefig(partial, dpi=100)
