"""Where entries are, and what their folders hold."""

import difflib
import os
import tomllib
from pathlib import Path

from stablevid_tf import hub
from stablevid_tf.zoo.front_matter import body_of
from stablevid_tf.zoo.limits import check_description

# Beside the weights, whose file model.toml names; the most bytes of each.
FILES = {
    "model.toml": hub.LARGEST_TEXT,
    "README.md": hub.LARGEST_TEXT,
    "train.py": hub.LARGEST_TEXT,
    "pinned.npz": 2**24,
}
TASKS = ("deblurring", "denoising", "super-resolution")
# The group of entries that no task offers: baselines and studies of stability.
STUDY = "study"

_HERE = Path(__file__).resolve().parent
# The folder of entries in a wheel, and that of a checkout.
_WHEEL = _HERE / "entries"
_CHECKOUT = _HERE.parents[1] / "zoo"


def _shelves():
    return [shelf for shelf in (_WHEEL, _CHECKOUT) if shelf.is_dir()]


def names(task: str | None = None) -> list[str]:
    """The entries' names, sorted.

    Args:
        task: `"denoising"`, `"super-resolution"` or `"deblurring"`: only the entries
            that are recommended for this task. Default: all entries, also those that
            are only for study.

    Raises:
        ValueError: an unknown task.

    Example:
        >>> from stablevid_tf import zoo
        >>> "tiny" in zoo.names()
        True
        >>> "vresnet_feat_x2_srnc" in zoo.names(task="super-resolution")
        True
    """
    if task is not None:
        _check_task(task)
        return [name for name, entry in all_entries() if task_of(entry) == task]
    found = {p.parent.name for s in _shelves() for p in s.glob("*/model.toml")}
    return sorted(found)


def default(task: str) -> str:
    """The name of the entry to use for a task.

    Args:
        task: `"denoising"` or `"super-resolution"`.

    Raises:
        ValueError: an unknown task, or a task without a default.

    Example:
        >>> from stablevid_tf import zoo
        >>> zoo.default("denoising") in zoo.names(task="denoising")
        True
    """
    _check_task(task)
    found = {}
    for name, entry in all_entries():
        if "default_for" in entry:
            found.setdefault(entry["default_for"], []).append(name)
    if task not in found:
        raise ValueError(
            f"The zoo has no default for this task. Received: task={task!r}. Choose "
            f"from: {', '.join(sorted(found))}; or give an entry by its name "
            "('stablevid zoo list' shows all)."
        )
    if len(found[task]) > 1:
        raise ValueError(
            f"A task has one default. Received: default_for = {task!r} in the "
            f"model.toml of {' and '.join(found[task])}. Remove all but one."
        )
    return found[task][0]


def all_entries():
    """Every entry's name and the contents of its `model.toml`, sorted by name."""
    return [(name, read(folder_of(name))) for name in names()]


def task_of(entry):
    """The task that an entry is recommended for, or `"study"`."""
    return STUDY if entry.get("group") == STUDY else entry.get("task", "")


def _check_task(task):
    if task not in TASKS:
        raise ValueError(
            f"Unknown task. Received: {task!r}. Choose from: {', '.join(TASKS)}."
        )


def find(name):
    """An entry's folder, and the contents of its `model.toml`.

    Args:
        name: an entry's name, a folder, or `hf://user/repository@revision`, whose
            `model.toml` is fetched; the contents then say in `["hub"]` from where.

    Raises:
        ValueError: there is no such entry, or its `model.toml` is malformed.
        OSError: as `stablevid_tf.hub.fetch`.
    """
    at = hub.address(name)
    if at is None:
        folder = folder_of(name)
        return folder, read(folder)
    toml = fetch_text(at, "model.toml")
    return toml.parent, read(toml.parent) | {"hub": at}


def fetch_text(at, file):
    """Fetch one of `FILES` from the Hub; `at` is what `hub.address` returns."""
    return hub.fetch(at["repository"], file, at["revision"], None, FILES[file])


def folder_of(name):
    """The folder of an entry, by its name or by a path to it.

    Raises:
        ValueError: there is none; the message gives the nearest name.
    """
    given = Path(name)
    for shelf in _shelves():
        if given.name == str(name) and (shelf / name / "model.toml").is_file():
            return shelf / name
    if (given / "model.toml").is_file():
        return given
    if given.is_dir():
        raise ValueError(
            f"The folder {name} has no model.toml, so it is not a zoo entry. Give a "
            "folder with a model.toml, or a name that stablevid_tf.zoo.names() lists."
        )
    near = difflib.get_close_matches(str(name), names(), n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise ValueError(
        f"No entry is named {name!r}{hint}. stablevid_tf.zoo.names() lists them; a "
        "folder with a model.toml is accepted too."
    )


def in_wheel(folder):
    """Whether an entry's folder is part of an installed wheel.

    A wheel holds the weights of some entries only; a checkout holds all.
    """
    return Path(folder).resolve().parent == _WHEEL


def read(folder):
    """The contents of an entry's `model.toml`, a dict.

    Raises:
        ValueError: it is too large, is not TOML, lacks a required key, asks for more
            than plain data, or asks for a network that is too large.
    """
    path = Path(folder) / "model.toml"
    try:
        entry = tomllib.loads(_text(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    check_description(entry, path)
    return entry


def _text(path):
    """The text of a file of an entry, read only if it is not too large."""
    largest = FILES[path.name]
    with open(path, "rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError(
            f"{path} may have at most {largest:,} bytes. Received: "
            f"{path.stat().st_size:,}. Use another entry, or shorten the file."
        )
    return data.decode("utf-8")


def card(name: str | os.PathLike[str]) -> str:
    """An entry's model card: Markdown, without the front matter that the Hub reads.

    Args:
        name: an entry's name, a folder, or `hf://user/repository@revision`.

    Raises:
        ValueError: there is no such entry, or its card is not UTF-8 text of at most
            1 MiB.
        OSError: as `stablevid_tf.hub.fetch`.

    Example:
        >>> from stablevid_tf import zoo
        >>> "PSNR" in zoo.card("tiny")
        True
    """
    at = hub.address(name)
    path = folder_of(name) / "README.md" if at is None else fetch_text(at, "README.md")
    if not path.is_file():
        raise ValueError(
            f"{path.parent} has no README.md, so it has no model card. Add one."
        )
    try:
        return body_of(_text(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
