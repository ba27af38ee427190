"""Where entries are, and what their folders hold."""

import difflib
import tomllib
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _shelves():
    """Folders of entries: those of the wheel, then those of a checkout."""
    candidates = (_HERE / "entries", _HERE.parents[1] / "zoo")
    return [shelf for shelf in candidates if shelf.is_dir()]


def names():
    """The entries' names, sorted.

    Example:
        >>> from stablevid_tf import zoo
        >>> "tiny" in zoo.names()
        True
    """
    found = {p.parent.name for s in _shelves() for p in s.glob("*/model.toml")}
    return sorted(found)


def folder_of(name):
    """The folder of an entry, by its name or by a path to it.

    Raises:
        ValueError: there is none; the nearest name is given.
    """
    given = Path(name)
    for shelf in _shelves():
        if given.name == str(name) and (shelf / name / "model.toml").is_file():
            return shelf / name
    if (given / "model.toml").is_file():
        return given
    if given.is_dir():
        raise ValueError(f"{name} is a folder without a model.toml: no entry.")
    near = difflib.get_close_matches(str(name), names(), n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise ValueError(
        f"No entry is named {name!r}{hint}. stablevid_tf.zoo.names() lists them; a "
        "folder with a model.toml is taken too."
    )


def read(folder):
    """The contents of an entry's ``model.toml``, a dict.

    Raises:
        ValueError: it is not TOML, or lacks what every entry needs.
    """
    path = Path(folder) / "model.toml"
    try:
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    for key in ("architecture", "weights"):
        if key not in entry:
            raise ValueError(f"{path} lacks {key!r}, which every entry names.")
    return entry


def card(name):
    """An entry's model card: Markdown.

    Args:
        name: an entry's name, or a folder.

    Raises:
        ValueError: there is no such entry.

    Example:
        >>> from stablevid_tf import zoo
        >>> "PSNR" in zoo.card("tiny")
        True
    """
    path = folder_of(name) / "README.md"
    if not path.is_file():
        raise ValueError(f"{path.parent} has no README.md, and so no card.")
    return path.read_text(encoding="utf-8")
