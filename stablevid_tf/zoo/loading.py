"""From an entry to a model."""

from stablevid_tf import hub, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.zoo.entries import find


def load(name, dtype=None):
    """A pretrained model.

    An entry with a noise map is told the level that its ``model.toml`` names
    (``models.at_noise_level(model, sigma)`` tells it another).

    Inference and streaming use the shipped, folded kernels exactly as they are (their
    norms are certified); ``model.fit`` goes on training, constrained as the entry was.

    Of an entry on the Hub the description and the weights are fetched, at the revision
    given, and kept in the Hub's cache, which is enough from then on. Its architecture
    is built by this package's own code from plain data; nothing that was fetched is
    executed or unpickled.

    Args:
        name: an entry's name (see :func:`stablevid_tf.zoo.names`), a folder, or
            ``hf://user/repository@revision`` (a commit or a tag).
        dtype: a Keras dtype policy; default float32, in which the card's figures were
            measured.

    Returns:
        A built ``keras.Model`` (see :class:`stablevid_tf.models.RecurrentRestorer`).

    Raises:
        ValueError: an unknown entry (the nearest is named); weights with another
            checksum, or of another architecture; an architecture or arguments that
            this version does not know.
        FileNotFoundError: the entry's weights are not there.
        OSError: as :func:`stablevid_tf.hub.fetch`, where the Hub is asked.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import zoo
        >>> model = zoo.load("tiny")
        >>> noisy = np.zeros((1, 3, 32, 48, 3), "float32")
        >>> model.predict(noisy, verbose=0).shape
        (1, 3, 32, 48, 3)
    """
    folder, entry = find(name)
    path = weights_of(name, folder, entry)
    dtype = dtype or "float32"
    model = plain = plain_model(entry, path, dtype)
    if "constraint" in entry:
        model = _build(entry, dtype, constrained=True)
        model.adopt(plain)
    if entry.get("arguments", {}).get("noise_map"):
        model = models.at_noise_level(model, entry["input"]["sigma"])
    # Reports tell entries apart by it.
    at = hub.address(name)
    model.name = at["repository"].split("/")[1] if at else folder.name
    return model


def plain_model(entry, path, dtype="float32"):
    """An entry's architecture with plain convolutions and the weights in ``path``."""
    model = _build(entry, dtype)
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{path} does not hold the weights of {entry['architecture']} with "
            f"{entry.get('arguments', {})}: {str(error).splitlines()[0]}"
        ) from error
    return model


def _build(entry, dtype, constrained=False):
    """An entry's architecture, untrained."""
    constraint = {}
    try:
        if constrained:
            constraint = {"constraint": SRNC(**entry["constraint"])}
        return models.build(
            entry["architecture"],
            dtype=dtype,
            **constraint,
            **entry.get("arguments", {}),
        )
    except TypeError as error:
        raise ValueError(
            f"model.toml names arguments that {entry['architecture']} or SRNC does not "
            f"take: {error}. A newer version of stablevid-tf may know them."
        ) from error


def weights_of(name, folder, entry):
    """The path of an entry's weights, after comparing their sha256.

    Weights that are not beside ``model.toml`` come from the Hub, where the entry says
    from which repository and revision.

    Raises:
        FileNotFoundError: they are not there.
        ValueError: they are not the ones that the entry names.
        OSError: as :func:`stablevid_tf.hub.fetch`.
    """
    file, sha256 = entry["weights"]["file"], entry["weights"]["sha256"]
    path = folder / file
    if "hub" in entry and (hub.address(name) or not path.is_file()):
        at = entry["hub"]
        return hub.fetch(at["repository"], file, at["revision"], sha256)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Train it with {folder / 'train.py'}, or take "
            "the whole entry again."
        )
    found = hub.sha256_of(path)
    if found != sha256:
        raise ValueError(
            f"{path} is damaged or belongs to another version: its sha256 is {found}, "
            f"model.toml names {sha256}. Take the entry again."
        )
    return path
