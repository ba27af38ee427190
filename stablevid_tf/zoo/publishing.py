"""From an entry's folder to the Hub."""

import os
from pathlib import Path

import numpy as np

from stablevid_tf import hub
from stablevid_tf.zoo.entries import FILES, folder_of, names, read
from stablevid_tf.zoo.front_matter import with_front_matter
from stablevid_tf.zoo.loading import load
from stablevid_tf.zoo.weights import weights_of

# float32 sums in another order on another machine: 1e-5 of a range of 1.
_TOLERANCE = 1e-5


def publish(folder: str | os.PathLike[str], repo_id: str) -> str:
    """Upload an entry's folder to the Hub, after checking that it works.

    Checked are: all files exist, the weights have the sha256 in `model.toml` and load,
    `pinned.npz` is reproduced within 1e-5, and the model card's front matter is that of
    `model.toml`. The files are uploaded in one commit; other files in the repository
    are kept.

    Args:
        folder: the entry's folder.
        repo_id: `"user/repository"`; a missing repository is created. Needs a token
            with write access (`HF_TOKEN`, or `hf auth login`).

    Returns:
        The commit (40 hexadecimal digits): the revision to pin, as in
        `zoo.load("hf://user/repository@COMMIT")`, or in `model.toml` under `[hub]` as
        `repository` and `revision`.

    Raises:
        ValueError: the folder is not a complete, working entry; nothing is uploaded.
        ImportError, OSError: as `stablevid_tf.hub.upload`.

    Example:
        >>> from stablevid_tf import zoo
        >>> zoo.publish("zoo/mine", "user/mine")                 # doctest: +SKIP
    """
    folder = Path(folder)
    hub.check_upload(repo_id)
    entry = check(folder)
    files = {name: folder / name for name in (*FILES, entry["weights"]["file"])}
    return hub.upload(repo_id, files, f"Publish {folder.resolve().name}")


def publish_all(organisation):
    """Upload every entry of the zoo to a repository of its own name.

    An entry that fails does not stop the others.

    Args:
        organisation: the user or organisation on the Hub; each entry is uploaded to
            `organisation/entry`, as `publish` does it.

    Yields:
        `(name, commit, None)`, or `(name, None, error)` for an entry that failed.

    Raises:
        ImportError, ValueError, ConnectionError: no upload can begin, because
            huggingface_hub is missing, `organisation` is malformed or HF_HUB_OFFLINE
            is set.

    Example:
        >>> from stablevid_tf.zoo.publishing import publish_all
        >>> for name, commit, error in publish_all("user"):      # doctest: +SKIP
        ...     print(name, commit or error)
    """
    found = names()
    hub.check_upload(f"{organisation}/{found[0]}")
    for name in found:
        try:
            commit = publish(folder_of(name), f"{organisation}/{name}")
        except (ImportError, LookupError, OSError, ValueError) as error:
            yield name, None, error
        else:
            yield name, commit, None


def check(folder):
    """The contents of the `model.toml` of a complete, working entry.

    Raises:
        ValueError: the entry is not complete or does not work; the message says why.
    """
    folder = Path(folder)
    if not (folder / "model.toml").is_file():
        raise ValueError(
            f"{folder} has no model.toml, so it is not a zoo entry. Give a folder with "
            "a model.toml."
        )
    entry = read(folder)
    files = [*FILES, entry["weights"]["file"]]
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} is not complete: {', '.join(missing)} missing. zoo.pack() "
            "writes the weights and pinned.npz; README.md is the card, train.py the "
            "recipe."
        )
    for name, largest in FILES.items():
        if (size := (folder / name).stat().st_size) > largest:
            raise ValueError(
                f"{folder / name} may have at most {largest:,} bytes. Received: "
                f"{size:,}. Shorten it."
            )
    weights_of(folder, folder, entry)
    if "license" not in entry:
        raise ValueError(
            f"{folder / 'model.toml'} names no license. Add one, such as "
            'license = "Apache-2.0".'
        )
    text = (folder / "README.md").read_text(encoding="utf-8")
    wanted = with_front_matter(text, entry)
    if text != wanted:
        head = wanted[: wanted.index("\n---\n") + 4]
        raise ValueError(
            f"The front matter of {folder / 'README.md'} is not that of its "
            f"model.toml. zoo.pack() writes it; it should be:\n{head}"
        )
    _check_pinned(folder)
    return entry


def _check_pinned(folder):
    path = folder / "pinned.npz"
    try:
        with np.load(path) as pinned:
            frames, expected = pinned["input"], pinned["output"]
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{path} does not hold 'input' and 'output': {error}. zoo.pack() writes it."
        ) from error
    output = np.asarray(load(folder)(frames))
    if output.shape != expected.shape:
        raise ValueError(
            f"{path} holds an output of shape {expected.shape}. Received from the "
            f"model: {output.shape}. Pack the entry again."
        )
    worst = float(np.abs(output - expected).max())
    if not worst <= _TOLERANCE:
        raise ValueError(
            f"{path} is not reproduced: the model's output differs by {worst:.2g}, "
            f"more than {_TOLERANCE}. The weights have changed since zoo.pack(): pack "
            "the entry again."
        )
