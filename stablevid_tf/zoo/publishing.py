"""From an entry's folder to the Hub."""

from pathlib import Path

import numpy as np

from stablevid_tf import hub
from stablevid_tf.zoo.entries import FILES, read
from stablevid_tf.zoo.front_matter import with_front_matter
from stablevid_tf.zoo.load import load, weights_of

# float32 sums in another order on another machine: 1e-5 of a range of 1.
_TOLERANCE = 1e-5


def publish(folder, repo_id):
    """Upload an entry's folder to the Hub, after making sure that it can be used.

    Made sure of: all files are there, the weights have the sha256 that ``model.toml``
    names and load, ``pinned.npz`` is reproduced within 1e-5, and the card's front
    matter is that of ``model.toml``. Files go up in one commit; others in the
    repository stay.

    Args:
        folder: the entry's folder.
        repo_id: ``"user/repository"``, made where there is none; needs a token that may
            write (``HF_TOKEN``, or ``hf auth login``).

    Returns:
        The commit (40 hexadecimal digits): the revision to pin, as in
        ``zoo.load("hf://user/repository@COMMIT")``, or in ``model.toml`` under
        ``[hub]`` as ``repository`` and ``revision``.

    Raises:
        ValueError: the folder is no complete, working entry; nothing is uploaded.
        OSError: as :func:`stablevid_tf.hub.upload`.

    Example:
        >>> from stablevid_tf import zoo
        >>> zoo.publish("zoo/mine", "user/mine")                 # doctest: +SKIP
    """
    folder = Path(folder)
    entry = check(folder)
    names = [*FILES, entry["weights"]["file"]]
    files = {name: folder / name for name in names}
    return hub.upload(repo_id, files, f"Publish {folder.resolve().name}")


def check(folder):
    """The entry in a folder that may be published.

    Raises:
        ValueError: it may not; what is wrong is told.
    """
    folder = Path(folder)
    if not (folder / "model.toml").is_file():
        raise ValueError(f"{folder} is no folder with a model.toml: no entry.")
    entry = read(folder)
    names = [*FILES, entry["weights"]["file"]]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} is not complete: {', '.join(missing)} missing. zoo.pack() "
            "writes the weights and pinned.npz; README.md is the card, train.py the "
            "recipe."
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
            f"{path} pins an output of shape {expected.shape}; the model gives "
            f"{output.shape}. Pack the entry again."
        )
    worst = float(np.abs(output - expected).max())
    if not worst <= _TOLERANCE:
        raise ValueError(
            f"{path} is not reproduced: the model's output differs by {worst:.2g}, "
            f"more than {_TOLERANCE}. The weights are others than those that were "
            "packed: pack the entry again."
        )
