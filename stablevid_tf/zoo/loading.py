"""From an entry to a model."""

import math
import os
from pathlib import Path

import keras

from stablevid_tf import hub, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.zoo.entries import find
from stablevid_tf.zoo.weights import check_file, weights_of


def load(
    name: str | os.PathLike[str], dtype: str | keras.DTypePolicy | None = None
) -> models.RecurrentRestorer | models.ClipRestorer:
    """Load a pretrained model.

    An entry with a noise map is set to the noise level in its `model.toml`;
    `stablevid_tf.models.at_noise_level(model, sigma)` sets another level.

    Inference and streaming use the stored kernels exactly as they are (their norms are
    certified). `model.fit` continues the training under the entry's constraint.

    A wheel holds the weights of the default entries, `vresnet_feat_srnc` and `tiny`.
    The weights of its other entries are fetched from the Hub's repository
    `<organisation>/<entry>` and compared with the sha256 in the wheel's `model.toml`;
    the environment variable `STABLEVID_HUB_ORGANISATION` names another organisation.
    Fetched files stay in the Hub's cache, so later loads need no network. A checkout
    holds all weights and never asks the Hub.

    For `hf://` names, `model.toml` is fetched too. The network is built by this
    package from plain data; nothing that was fetched is executed or unpickled.

    Args:
        name: an entry's name (see `stablevid_tf.zoo.names`), a folder, or
            `hf://user/repository@revision` (a commit or a tag).
        dtype: a Keras dtype policy, such as `"mixed_bfloat16"`. Default: `"float32"`,
            which was used for the numbers on the model card.

    Returns:
        A built `keras.Model` (see `stablevid_tf.models.RecurrentRestorer`).

    Raises:
        ValueError: an unknown entry (the message gives the nearest name); weights with
            another checksum, of another architecture, or that hold anything but plain,
            finite numbers; an architecture or arguments that this version does not
            know or that are too large.
        FileNotFoundError: the entry's weights are missing.
        ImportError, OSError: as `stablevid_tf.hub.fetch`, if the Hub is asked.

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


def plain_model(entry, path, dtype="float32", of_training=False):
    """An entry's architecture with plain convolutions and the weights in `path`.

    Args:
        entry: the contents of its `model.toml`.
        path: a `.weights.h5` file.
        dtype: a Keras dtype policy.
        of_training: whether the file may hold more, such as an optimiser's state.

    Raises:
        ValueError: the file does not hold these weights, or more than plain, finite
            numbers.
    """
    model = _build(entry, dtype)
    needed = arrays = None
    if not of_training:
        arrays = len(model.variables)
        needed = sum(math.prod(variable.shape) for variable in model.variables)
    check_file(Path(path), needed, arrays)
    try:
        model.load_weights(path)
    except _MALFORMED as error:
        raise ValueError(
            f"{path} does not hold the weights of {entry['architecture']} with "
            f"{entry.get('arguments', {})}: {_first_line(error)}"
        ) from error
    return model


# What Keras and HDF5 raise for files and arguments that nobody foresaw.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


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
            f"take: {_first_line(error)} Received: {entry.get('arguments', {})}, "
            f"constraint={entry.get('constraint')}, dtype={dtype!r}. Use a newer "
            "version of stablevid-tf, or another dtype."
        ) from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError) as error:
        raise ValueError(
            f"model.toml names arguments with which {entry['architecture']} cannot be "
            f"built: {_first_line(error)}. Received: {entry.get('arguments', {})}, "
            f"constraint={entry.get('constraint')}"
        ) from error


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]
