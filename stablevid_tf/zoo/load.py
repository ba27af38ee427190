"""From an entry to a model."""

import hashlib

from stablevid_tf import models
from stablevid_tf.constraints import SRNC
from stablevid_tf.zoo.entries import folder_of, read


def load(name, dtype=None):
    """A pretrained model.

    An entry with a noise map is told the level that its ``model.toml`` names
    (``models.at_noise_level(model, sigma)`` tells it another).

    Inference and streaming use the shipped, folded kernels exactly as they are (their
    norms are certified); ``model.fit`` goes on training, constrained as the entry was.

    Args:
        name: an entry's name (see :func:`stablevid_tf.zoo.names`), or a folder.
        dtype: a Keras dtype policy; default float32, in which the card's figures were
            measured.

    Returns:
        A built ``keras.Model`` (see :class:`stablevid_tf.models.RecurrentRestorer`).

    Raises:
        ValueError: an unknown entry (the nearest is named); weights with another
            checksum, or of another architecture.
        FileNotFoundError: the entry's weights are not there.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import zoo
        >>> model = zoo.load("tiny")
        >>> noisy = np.zeros((1, 3, 32, 48, 3), "float32")
        >>> model.predict(noisy, verbose=0).shape
        (1, 3, 32, 48, 3)
    """
    folder = folder_of(name)
    entry = read(folder)
    path = check_weights(folder, entry["weights"])
    dtype = dtype or "float32"
    model = plain = plain_model(entry, path, dtype)
    if "constraint" in entry:
        model = models.build(
            entry["architecture"],
            constraint=SRNC(**entry["constraint"]),
            dtype=dtype,
            **entry.get("arguments", {}),
        )
        model.adopt(plain)
    if entry.get("arguments", {}).get("noise_map"):
        model = models.at_noise_level(model, entry["input"]["sigma"])
    model.name = folder.name  # reports tell entries apart by it
    return model


def plain_model(entry, path, dtype="float32"):
    """An entry's architecture with plain convolutions and the weights in ``path``."""
    name, arguments = entry["architecture"], entry.get("arguments", {})
    model = models.build(name, dtype=dtype, **arguments)
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{path} does not hold the weights of {name} with {arguments}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return model


def check_weights(folder, weights):
    """The path of an entry's weights, after comparing their sha256.

    Raises:
        FileNotFoundError: they are not there.
        ValueError: they are not the ones that the entry names.
    """
    path = folder / weights["file"]
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Train it with {folder / 'train.py'}, or take "
            "the whole entry again."
        )
    found = sha256(path)
    if found != weights["sha256"]:
        raise ValueError(
            f"{path} is damaged or belongs to another version: its sha256 is {found}, "
            f"model.toml names {weights['sha256']}. Take the entry again."
        )
    return path


def sha256(path):
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
