"""The table of entries that `stablevid zoo list` prints."""

import textwrap

from stablevid_tf.zoo.entries import STUDY, all_entries, task_of

_HEAD = ("NAME", "TASK", "INPUT", "PARAMETERS", "CERTIFIED")
# The longest text of a cell.
_WIDEST = 40
_NOTES = (
    "default: used for this task if no model is given. study: baselines, and networks "
    "made to show instability; not for use on ordinary video.",
    "CERTIFIED: the gain of every feedback loop is proved to be below 1 at every frame "
    "size, so the model is stable on videos of any length.",
)


def table():
    """Every entry on one line: tasks first, their defaults first in each; a string.

    Example:
        >>> from stablevid_tf.zoo.table import table
        >>> table().split()[:5]
        ['NAME', 'TASK', 'INPUT', 'PARAMETERS', 'CERTIFIED']
    """
    rows = [_HEAD, *(_row(*each) for each in sorted(all_entries(), key=_order))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if head == "PARAMETERS" else cell.ljust(width)
            for cell, width, head in zip(row, widths, _HEAD, strict=True)
        ).rstrip()
        for row in rows
    ]
    notes = [textwrap.fill(note, 88) for note in _NOTES]
    return "\n".join([*lines, "", *notes])


def _order(named):
    name, entry = named
    task = task_of(entry)
    return task == STUDY, task, "default_for" not in entry, name


def _row(name, entry):
    task = task_of(entry)
    if "default_for" in entry:
        task += " (default)"
    parameters = entry.get("parameters")
    gain = entry.get("results", {}).get("loop_gain_bound")
    return (
        name,
        task,
        _input(entry),
        "" if parameters is None else f"{parameters:,}",
        "yes" if gain is not None and gain < 1 else "no",
    )


def _input(entry):
    """What frames the entry expects, in a few words."""
    told = entry.get("input", {})
    if "summary" in told:
        text = told["summary"]
    elif "sigma" in told:
        text = f"noise, sigma {told['sigma']:g}"
    else:
        text = told.get("degradation", told.get("noise", ""))
    return textwrap.shorten(text.split(";")[0], _WIDEST, placeholder=" ...")
