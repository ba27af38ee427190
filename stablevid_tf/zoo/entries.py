"""Where entries are, and what their folders hold."""

import difflib
import math
import tomllib
from pathlib import Path

from stablevid_tf import hub
from stablevid_tf.zoo.front_matter import body_of

# Beside the weights, whose file model.toml names.
FILES = ("model.toml", "README.md", "train.py", "pinned.npz")
_LARGEST = 10_000
_PINNED = ("repository", "revision")

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


def find(name):
    """An entry's folder, and the contents of its ``model.toml``.

    Args:
        name: an entry's name, a folder, or ``hf://user/repository@revision``, of which
            the description is fetched and ``["hub"]`` tells where from.

    Raises:
        ValueError: there is none, or its description is none.
        OSError: as :func:`stablevid_tf.hub.fetch`.
    """
    at = hub.address(name)
    if at is None:
        folder = folder_of(name)
        return folder, read(folder)
    toml = hub.fetch(at["repository"], "model.toml", at["revision"], None)
    return toml.parent, read(toml.parent) | {"hub": at}


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
        ValueError: it is not TOML, lacks what every entry needs, or asks for more than
            plain data.
    """
    path = Path(folder) / "model.toml"
    try:
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    for key in ("architecture", "weights"):
        if key not in entry:
            raise ValueError(f"{path} lacks {key!r}, which every entry names.")
    for table, keys in (("weights", ("file", "sha256")), ("hub", _PINNED)):
        if table not in entry and table != "weights":
            continue
        found = entry[table]
        if not isinstance(found, dict) or any(
            not isinstance(found.get(key), str) for key in keys
        ):
            raise ValueError(
                f"[{table}] in {path} needs {' and '.join(keys)}, strings. "
                f"Received: {found!r}"
            )
    hub.check_file_name(entry["weights"]["file"])
    for table in ("arguments", "constraint"):
        _check_plain(entry.get(table, {}), f"[{table}] in {path}")
    return entry


def _check_plain(table, where):
    """Raise unless a table holds nothing but numbers, strings and booleans."""
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table. Received: {table!r}")
    for name, value in table.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not (math.isfinite(value) and abs(value) <= _LARGEST):
            raise ValueError(
                f"{name} of {where} must be finite and at most {_LARGEST}. "
                f"Received: {value!r}"
            )
        if not isinstance(value, bool | int | float | str):
            raise ValueError(
                f"{where} takes numbers, strings and booleans alone. "
                f"Received: {name}={value!r}"
            )


def card(name):
    """An entry's model card: Markdown, without the front matter that the Hub reads.

    Args:
        name: an entry's name, a folder, or ``hf://user/repository@revision``.

    Raises:
        ValueError: there is no such entry.
        OSError: as :func:`stablevid_tf.hub.fetch`.

    Example:
        >>> from stablevid_tf import zoo
        >>> "PSNR" in zoo.card("tiny")
        True
    """
    at = hub.address(name)
    if at is None:
        path = folder_of(name) / "README.md"
    else:
        path = hub.fetch(at["repository"], "README.md", at["revision"], None)
    if not path.is_file():
        raise ValueError(f"{path.parent} has no README.md, and so no card.")
    return body_of(path.read_text(encoding="utf-8"))
