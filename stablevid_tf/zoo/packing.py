"""From a training run to an entry."""

import os
import re
from pathlib import Path

import numpy as np

from stablevid_tf import models
from stablevid_tf.hub import sha256_of
from stablevid_tf.zoo.entries import read
from stablevid_tf.zoo.front_matter import with_front_matter
from stablevid_tf.zoo.loading import load, plain_model


def pack(
    folder: str | os.PathLike[str], weights: str | os.PathLike[str]
) -> models.RecurrentRestorer | models.ClipRestorer:
    """Put trained weights into an entry's folder.

    Writes the weights without the optimiser's state, their sha256 into `model.toml`, a
    small input with its output into `pinned.npz` (later versions are tested with it),
    and the front matter that the Hub reads into the model card.

    Args:
        folder: the entry's folder, with a `model.toml`.
        weights: a `.weights.h5` file of the folded model, as
            `model.fold().save_weights(path)` writes it.

    Returns:
        The loaded model.

    Raises:
        ValueError: the weights do not fit the architecture, or hold NaN or infinity;
            the entry is left unchanged.

    Example:
        >>> from stablevid_tf import zoo
        >>> zoo.pack("zoo/mine", "run/model.weights.h5")         # doctest: +SKIP
    """
    folder = Path(folder)
    entry = read(folder)
    toml, target = folder / "model.toml", folder / entry["weights"]["file"]
    text, kept = toml.read_text(), target.read_bytes() if target.exists() else None
    try:
        # Written anew: a compiled model's file holds the optimiser's state too.
        plain_model(entry, weights, of_training=True).save_weights(
            target, overwrite=True
        )
        line = f'sha256 = "{sha256_of(target)}"'
        toml.write_text(re.sub(r'^sha256 = ".*"$', line, text, flags=re.M))
        model = load(folder)
    except BaseException:
        toml.write_text(text)
        target.unlink(missing_ok=True)
        if kept is not None:
            target.write_bytes(kept)
        raise
    frames = np.random.default_rng(0).random((1, 3, 16, 24, model.channels))
    frames = frames.astype("float32")
    np.savez_compressed(
        folder / "pinned.npz", input=frames, output=model.predict(frames, verbose=0)
    )
    card = folder / "README.md"
    if card.is_file():
        text = card.read_text(encoding="utf-8")
        card.write_text(with_front_matter(text, entry), encoding="utf-8")
    return model
