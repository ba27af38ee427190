"""Where an entry's weights come from, and what may be in their file."""

import math
import os

import numpy as np

from stablevid_tf import hub
from stablevid_tf.zoo.entries import in_wheel

# The Hub's organisation with a repository for each entry, which holds the weights that
# a wheel leaves out.
ORGANISATION = "stablevid"
_VARIABLE = "STABLEVID_HUB_ORGANISATION"

# HDF5's own bytes: some 50 kB, and 2 kB for each array.
_OVERHEAD, _OVERHEAD_EACH = 2**18, 2**14
_GROUPS_EACH = 16


def organisation():
    """The Hub's organisation with the entries' weights.

    Default: `ORGANISATION`; the environment variable `STABLEVID_HUB_ORGANISATION`
    names another.
    """
    return os.environ.get(_VARIABLE) or ORGANISATION


def weights_of(name, folder, entry):
    """The path of an entry's weights, after comparing their sha256.

    Weights that are not beside `model.toml` come from the Hub: from the repository and
    revision that `model.toml` names, else, in an installed wheel, from the repository
    `organisation()/entry`.

    Args:
        name: as `stablevid_tf.zoo.load` takes it.
        folder, entry: what `stablevid_tf.zoo.entries.find` returns for it.

    Raises:
        FileNotFoundError: they are missing.
        ValueError: they are not the ones that the entry names.
        OSError, ImportError: as `stablevid_tf.hub.fetch`.
    """
    file, sha256 = entry["weights"]["file"], entry["weights"]["sha256"]
    path = folder / file
    if "hub" in entry and (hub.address(name) or not path.is_file()):
        at = entry["hub"]
        return hub.fetch(at["repository"], file, at["revision"], sha256)
    if not path.is_file() and in_wheel(folder):
        return _published(folder, file, sha256)
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights {path} are missing. Get the whole entry again, or train it "
            f"with {folder / 'train.py'}."
        )
    if path.stat().st_size > hub.LARGEST_FILE:
        raise ValueError(
            f"The weights {path} may have at most {hub.LARGEST_FILE:,} bytes. "
            f"Received: {path.stat().st_size:,}. Get the entry again."
        )
    found = hub.sha256_of(path)
    if found != sha256:
        raise ValueError(
            f"The weights {path} are damaged or belong to another version: model.toml "
            f"names the sha256 {sha256}. Received: {found}. Get the entry again."
        )
    return path


def _published(folder, file, sha256):
    """Weights that the wheel leaves out, from the Hub or its cache."""
    repository = f"{organisation()}/{folder.name}"
    try:
        return hub.fetch_newest(repository, file, sha256)
    except (ImportError, OSError, ValueError) as error:
        kinds = (
            ImportError,
            FileNotFoundError,
            PermissionError,
            ConnectionError,
            ValueError,
        )
        kind = next((k for k in kinds if isinstance(error, k)), OSError)
        said = str(error).rstrip(". ")
        raise kind(
            f"The weights {file} of {folder.name!r} are not part of this installation. "
            f"Looked for them in {folder} and in hf://{repository}: {said}. "
            f"You can also set {_VARIABLE} to an organisation that has the weights, "
            "or use a checkout of the source repository, which holds all weights "
            "(pip install -e CHECKOUT)."
        ) from error


def check_file(path, needed=None, arrays=None):
    """Raise unless a file holds plain, finite weights and nothing else.

    Nothing is read from outside the file: external and virtual datasets and links are
    refused. Sizes are compared before any array is read.

    Args:
        path: of an HDF5 file.
        needed: numbers that the architecture has; the file may hold no more. Default:
            not checked.
        arrays: arrays that the architecture has. Default: not checked.

    Raises:
        ValueError: any of these; the message says which.
    """
    import h5py

    if needed is not None:
        size = path.stat().st_size
        allowed = 4 * needed + _OVERHEAD + _OVERHEAD_EACH * arrays
        if size > allowed:
            raise ValueError(
                f"{path} is too large for this architecture: its {needed:,} numbers "
                f"need at most {allowed:,} bytes. Received: {size:,}."
            )
    most = None if arrays is None else arrays * _GROUPS_EACH + 64
    try:
        with h5py.File(path, "r") as file:
            found = list(_datasets(file, most))
            _check_total(path, found, needed)
            for each in found:
                _check_finite(each)
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a readable HDF5 file of weights: "
            f"{(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error


def _datasets(file, most):
    """Every dataset of a file, without following a link out of it."""
    import h5py

    waiting, seen = [file], set()
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _refused(group, name, "a link to elsewhere")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                raise _refused(group, name, "a second name of the same object")
            seen.add(address)
            if most is not None and len(seen) > most:
                raise _refused(group, name, f"more than {most} objects")
            if isinstance(item, h5py.Group):
                waiting.append(item)
                continue
            if not isinstance(item, h5py.Dataset):
                raise _refused(group, name, "a named data type")
            _check_plain(item, group, name)
            yield item


def _check_plain(dataset, group, name):
    if dataset.external:
        raise _refused(group, name, f"external data in {dataset.external[0][0]!r}")
    if dataset.is_virtual:
        raise _refused(group, name, "a virtual dataset")
    # Keras writes none of these; a small file of these can fill the memory.
    if dataset.chunks is not None or dataset.compression is not None:
        raise _refused(group, name, "a chunked or compressed dataset")
    if dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8:
        raise _refused(group, name, f"values of type {dataset.dtype}")


def _refused(group, name, what):
    return ValueError(
        f"{group.file.filename} must hold plain arrays alone, as model.save_weights "
        f"writes them. Received: {what} at {f'{group.name}/{name}'!r}. Get the weights "
        "again; do not use these."
    )


def _check_total(path, datasets, needed):
    # Not `nbytes`, which can overflow.
    total = sum(math.prod(each.shape) * each.dtype.itemsize for each in datasets)
    if needed is not None and total > 4 * needed:
        raise ValueError(
            f"{path} must hold the {needed:,} numbers of the architecture, "
            f"{4 * needed:,} bytes. Received: arrays of {total:,} bytes. Get the "
            "weights again; do not use these."
        )


def _check_finite(dataset):
    if dataset.dtype.kind == "f" and not np.isfinite(dataset[()]).all():
        raise ValueError(
            f"{dataset.file.filename} must hold finite numbers. Received: NaN or "
            f"infinity in {dataset.name!r}. Get the weights again; a training run that "
            "diverged cannot be used."
        )
