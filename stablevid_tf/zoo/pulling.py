"""From the Hub to this machine."""

import os
import shutil
from pathlib import Path

from stablevid_tf import hub
from stablevid_tf.zoo.entries import FILES, fetch_text, find
from stablevid_tf.zoo.weights import weights_of


def pull(
    name: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None
) -> Path:
    """Fetch all files of an entry, for use without a network or as your own folder.

    Args:
        name: `hf://user/repository@revision`, or the name of an entry.
        folder: where to put a copy; it must be missing or empty. Default: the Hub's
            cache, in which `zoo.load(name)` finds the files.

    Returns:
        The path of the entry's folder. Do not change files in the cache.

    Raises:
        FileExistsError: `folder` is not empty; it is left unchanged.
        ValueError: no such entry, or wrong weights.
        ImportError, OSError: as `stablevid_tf.hub.fetch`; nothing is left in `folder`.

    Example:
        >>> from stablevid_tf import zoo
        >>> zoo.pull("hf://user/repo@v1.0", "mine")              # doctest: +SKIP
    """
    target = None if folder is None else Path(folder)
    if target is not None and target.exists() and _holds_something(target):
        raise FileExistsError(
            f"{target} already exists and is not empty. Give another folder, or remove "
            "this one."
        )
    found, entry = find(name)
    if at := hub.address(name):
        for file in FILES:
            fetch_text(at, file)
    weights = weights_of(name, found, entry)
    if target is None:
        return found
    # Under its own name only when it is whole.
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        for file in FILES:
            if (found / file).is_file():
                shutil.copyfile(found / file, partial / file)
        (partial / entry["weights"]["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(weights, partial / entry["weights"]["file"])
        if target.is_dir():
            target.rmdir()
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _holds_something(path):
    return not path.is_dir() or any(path.iterdir())
