"""Pretrained models.

An entry is a folder: `model.toml` (architecture, input, the weights file with its
sha256, measured results), `README.md` (the model card), `train.py` (the recipe),
`model.weights.h5` and `pinned.npz`. The folders are the registry; there is no other
list. A repository on the Hugging Face Hub with these files is an entry too, named
`hf://user/repository@revision`.

Example:
    >>> from stablevid_tf import zoo
    >>> model = zoo.load(zoo.default("denoising"))
    >>> model.channels
    3
"""

from typing import TYPE_CHECKING

from stablevid_tf.zoo.entries import card, default, names

if TYPE_CHECKING:
    from stablevid_tf.zoo.loading import load
    from stablevid_tf.zoo.packing import pack
    from stablevid_tf.zoo.publishing import publish
    from stablevid_tf.zoo.pulling import pull

__all__ = ["card", "default", "load", "names", "pack", "publish", "pull"]


def __getattr__(name):
    # Keras takes seconds to import: listing the entries does not wait for it.
    if name == "load":
        from stablevid_tf.zoo.loading import load

        return load
    if name == "pack":
        from stablevid_tf.zoo.packing import pack

        return pack
    if name == "publish":
        from stablevid_tf.zoo.publishing import publish

        return publish
    if name == "pull":
        from stablevid_tf.zoo.pulling import pull

        return pull
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
