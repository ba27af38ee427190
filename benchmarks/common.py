"""What the benchmarks share: interleaved timing, ratios, a search, and the report.

Imports NumPy and the standard library only, so that a process that holds another
framework can use it too.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np


def arguments(doc, **defaults):
    """An argument parser with ``--out`` and one ``--name`` per default given."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in defaults.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value
        )
    parser.add_argument("--out", help="JSON file to write the figures to")
    return parser


def psnr(restored, truth):
    """dB of images [..., H, W, C]; ``restored`` is clipped to [0, 1], in float64."""
    error = np.clip(restored.astype("float64"), 0, 1) - truth
    return -10 * np.log10(np.mean(error**2, axis=(-3, -2, -1)))


def colour_shift(restored, truth):
    """How far the mean colour of an image [H, W, C] is off at most, in units of 255."""
    return 255 * float(np.abs(restored.mean((0, 1)) - truth.mean((0, 1))).max())


def interleave(functions, rounds, warm=1):
    """Seconds of each function, called once a round in an order drawn afresh.

    Speed on a shared machine drifts by more than what is measured here: only calls
    of one round are compared.

    Args:
        functions: ``{name: function}``; a function returns when its work is done.
        rounds: how many times each is timed, after ``warm`` calls that are not.

    Returns:
        ``{name: array of seconds, one per round}``.
    """
    for function in functions.values():
        for _ in range(warm):
            function()
    names, random = list(functions), np.random.default_rng(0)
    seconds = {name: np.zeros(rounds) for name in names}
    for i in range(rounds):
        for name in random.permutation(names):
            start = time.perf_counter()
            functions[name]()
            seconds[name][i] = time.perf_counter() - start
    return seconds


def climb(score, start, limits, factor):
    """The best strength on a grid `start factor^k`, and the scores of those tried.

    It goes uphill from `start` until both neighbours are no better.
    """
    scores, best = {}, 0

    def strength(k):
        return float(np.clip(start * factor**k, *limits))

    def at(k):
        if strength(k) not in scores:
            scores[strength(k)] = score(strength(k))
        return scores[strength(k)]

    while at(nearby := max((best - 1, best + 1), key=at)) > at(best):
        best = nearby
    return strength(best), scores


def spread(values):
    """``{"median", "min", "max"}`` of some numbers."""
    values = [float(v) for v in values]
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def verdict(
    name,
    values,
    at_most=None,
    at_least=None,
    worst_at_most=None,
    digits=3,
    what="ratio",
):
    """Print the closing line of one requirement and return it as plain data.

    ``at_most`` and ``at_least`` bind the median, ``worst_at_most`` the largest value.
    """
    found = spread(values)
    median, low, high = found["median"], found["min"], found["max"]
    if worst_at_most is not None:
        limit, sign, met = worst_at_most, "<=", high <= worst_at_most
    elif at_most is not None:
        limit, sign, met = at_most, "<=", median <= at_most
    else:
        limit, sign, met = at_least, ">=", median >= at_least
    print(
        f"{name}: {what} {median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f}), "
        f"required {sign} {limit:g}: {'met' if met else 'missed'}"
    )
    return {"name": name, **found, "required": f"{sign} {limit:g}", "met": bool(met)}


def ratio_rows(took, base, label):
    """Rows ``(label + name, median milliseconds, median ratio, min-max)``.

    Args:
        took: what :func:`interleave` gives.
        base: the name whose times the others are divided by.
        label: before each name.
    """
    rows = []
    for name, times in took.items():
        ratio = spread(times / took[base])
        rows.append(
            (
                f"{label}{name}",
                f"{1e3 * np.median(times):.1f} ms",
                f"{ratio['median']:.3f}",
                f"{ratio['min']:.3f}-{ratio['max']:.3f}",
            )
        )
    return rows


def table(head, rows):
    """Print rows of text and numbers under a head, in columns."""
    lines = [[str(c) for c in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = zip(line, widths, strict=True)
        print("  ".join(c.ljust(w) if c is line[0] else c.rjust(w) for c, w in cells))


def spread_out(places, gap):
    """Places moved as little as need be, so that they are `gap` apart; any order."""
    places = np.asarray(places, float)
    order = np.argsort(places, kind="stable")
    offsets = gap * np.arange(len(places))
    # Blocks of neighbours in touch, each at the mean of where they want to be.
    blocks = []
    for value in places[order] - offsets:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    moved = np.concatenate([[np.mean(b)] * len(b) for b in blocks]) + offsets
    result = np.empty_like(moved)
    result[order] = moved
    return result


def label(panel, tips, colours):
    """Labels beside a panel, each with a line to its point; none overlaps another."""
    low, high = panel.get_ylim()
    heights = [(height - low) / (high - low) for _, height in tips.values()]
    places = spread_out(heights, 0.07)
    for (text, tip), place, colour in zip(tips.items(), places, colours, strict=True):
        line = {"arrowstyle": "-", "color": colour, "alpha": 0.4, "linewidth": 0.7}
        panel.annotate(
            text,
            tip,
            (1.06, place),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=colour,
            arrowprops=line | {"relpos": (0, 0.5)},
        )


def write(path, **figures):
    """Write the figures, with machine, date and command, as JSON; no path, no file."""
    if not path:
        return
    figures = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": os.getloadavg(),
        },
        **figures,
    }
    Path(path).write_text(json.dumps(figures, indent=1, default=float) + "\n")
    print(f"written: {path}")


def write_csv(path, columns, rows):
    """Write rows, dictionaries with the columns as keys; no path, no file."""
    if not path:
        return
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    print(f"written: {path}")


def _cpu():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return models[0] if models else platform.machine()
