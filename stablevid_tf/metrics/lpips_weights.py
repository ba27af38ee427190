"""The weights of LPIPS, which others made: found, checked, never shipped."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stablevid_tf import hub

FILE = "lpips_alex.npz"
# Names and shapes as in the public PyTorch files: filters, channels, rows, columns.
_CONVS = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
}
_HEADS = {f"lin{i}.model.1.weight": s[0] for i, s in enumerate(_CONVS.values())}
_HOW = (
    "They come from torchvision's AlexNet (BSD-3-Clause) and the linear heads in the "
    "package lpips (BSD-2-Clause, weights/v0.1/alex.pth); where PyTorch is: "
    "state = {**torchvision.models.alexnet(weights='IMAGENET1K_V1').state_dict(), "
    "**torch.load('alex.pth')}; "
    f"numpy.savez('{FILE}', **{{k: v.numpy() for k, v in state.items()}}). Give the "
    "file, the arrays, or 'hf://user/repository@revision' with the file's sha256"
)


def lpips_weights(
    source: str | os.PathLike[str] | Mapping[str, ArrayLike], sha256: str | None = None
) -> dict[str, Any]:
    """The weights for :func:`stablevid_tf.metrics.lpips`, from where they are.

    They are not part of this package. The arrays have the names and shapes of the
    public PyTorch files: ``features.0.weight`` [64, 3, 11, 11], ``features.0.bias``,
    so also ``features.3``, ``.6``, ``.8``, ``.10`` of torchvision's AlexNet, and
    ``lin0.model.1.weight`` [1, 64, 1, 1] to ``lin4.model.1.weight`` of the heads of
    ``lpips`` 0.1. Other names are passed over.

    Args:
        source: an ``.npz`` file, a mapping of names to arrays, or
            ``"hf://user/repository@revision"``: the file ``lpips_alex.npz`` there.
        sha256: of that file; needed for the last.

    Returns:
        A dictionary for :func:`stablevid_tf.metrics.lpips`.

    Raises:
        FileNotFoundError: there is no such file; the message tells how to make it.
        ValueError: no source, a missing or misshapen array, or an address without a
            revision or checksum.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import metrics
        >>> try:
        ...     metrics.lpips_weights("nowhere.npz")
        ... except FileNotFoundError as error:
        ...     print(str(error)[:29])
        nowhere.npz: no such file. LP
    """
    if source is None:
        raise ValueError(f"LPIPS needs weights, which are not shipped. {_HOW}")
    arrays = source if isinstance(source, Mapping) else _read(source, sha256)
    convs = [
        (
            # To rows, columns, channels, filters.
            _array(arrays, f"{name}.weight", shape).transpose(2, 3, 1, 0),
            _array(arrays, f"{name}.bias", shape[:1]),
        )
        for name, shape in _CONVS.items()
    ]
    heads = [_array(arrays, n, (1, c, 1, 1)).ravel() for n, c in _HEADS.items()]
    return {"convs": convs, "heads": heads}


def _read(source, sha256):
    source = str(source)
    if at := hub.address(source):
        if not sha256:
            raise ValueError(
                f"The weights of LPIPS on the Hub need the sha256 of their {FILE}. "
                f"Received: {source!r}, sha256={sha256!r}"
            )
        source = hub.fetch(at["repository"], FILE, at["revision"], sha256)
    elif not Path(source).is_file():
        raise FileNotFoundError(f"{source}: no such file. LPIPS needs weights. {_HOW}")
    try:
        with np.load(source, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, OSError, TypeError) as error:
        raise ValueError(f"{source}: not an .npz file of arrays ({error})") from error


def _array(arrays, name, shape):
    if name not in arrays:
        raise ValueError(
            f"LPIPS needs an array {name!r}, which is missing. Received: "
            f"{sorted(arrays)[:12]}. {_HOW}"
        )
    array = np.asarray(arrays[name])
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be of shape {shape} and finite. Received: {array.shape}"
        )
    return array.astype("float32")
