"""The door to pretrained entries.

An entry is a folder: ``model.toml`` (architecture, input contract, weights file with
its sha256, measured results), ``README.md`` (the card), ``train.py`` (the recipe),
``model.weights.h5`` and ``pinned.npz``. The folders are the registry; there is no
other list. A repository on the Hugging Face Hub with these files is an entry too,
named ``hf://user/repository@revision``.
"""

from stablevid_tf.zoo.entries import card, names
from stablevid_tf.zoo.load import load
from stablevid_tf.zoo.pack import pack
from stablevid_tf.zoo.publish import publish
from stablevid_tf.zoo.pull import pull

__all__ = ["card", "load", "names", "pack", "publish", "pull"]
