"""From the Hub to this machine."""

import os
import shutil
from pathlib import Path

from stablevid_tf import hub
from stablevid_tf.zoo.entries import FILES, find
from stablevid_tf.zoo.load import weights_of


def pull(name, folder=None):
    """Fetch all of an entry, for use without a network or as a folder of one's own.

    Args:
        name: ``hf://user/repository@revision``, or an entry whose ``model.toml`` names
            a repository and a revision for its weights.
        folder: where to put a copy; it must not exist, or be empty. By default the
            Hub's cache keeps the files, and ``zoo.load(name)`` finds them there.

    Returns:
        The path of the entry's folder. In the cache it is to be read only.

    Raises:
        FileExistsError: ``folder`` holds something; it is left as it is.
        ValueError: no such entry, or wrong weights.
        OSError: as :func:`stablevid_tf.hub.fetch`; nothing is left at ``folder``.

    Example:
        >>> from stablevid_tf import zoo
        >>> zoo.pull("hf://user/repo@v1.0", "mine")              # doctest: +SKIP
    """
    target = None if folder is None else Path(folder)
    if target is not None and target.exists() and _holds_something(target):
        raise FileExistsError(
            f"{target} exists and is not empty. Name another folder, or remove it."
        )
    found, entry = find(name)
    if at := hub.address(name):
        for file in FILES:
            hub.fetch(at["repository"], file, at["revision"], None)
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
