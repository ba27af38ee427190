import dataclasses

import numpy as np

from stablevid_tf import numerics
from stablevid_tf.diagnostics.kernels import kernel_of


@dataclasses.dataclass(frozen=True)
class LayerSpectrum:
    """The singular values of one convolution.

    Attributes:
        name: its path in the network, e.g. `"body[2].conv1"`.
        loop: the feedback loop that it lies on, and by which inputs, e.g.
            `"stage 2: body[2].conv1[64:]"`; None if it lies on no loop.
        size: side of the periodic maps, in frequencies.
        values: all singular values on those maps, descending, float32.
        norm: the largest singular value.
        bound: an upper bound of the norm on zero-padded maps of any size.
        stable_rank: `sum s^2 / (max s^2 * count)`, a fraction of full rank.
    """

    name: str
    loop: str | None
    size: int
    values: np.ndarray
    norm: float
    bound: float
    stable_rank: float


def layer_spectrum(conv, name, loop, size):
    """The `LayerSpectrum` of a layer, on maps of `size` after its strides."""
    kernel = kernel_of(conv)
    if not kernel.any():
        raise ValueError("the kernel is all zeros, so it has no stable rank")
    rank = kernel.ndim - 2
    if rank == 3:
        # As many frequencies as on two axes.
        size = round(size ** (2 / 3))
    # A dilated kernel has the same values on a map larger by its dilation.
    values = numerics.conv_singular_values(
        kernel, [size * s for s in conv.strides], conv.strides
    )
    return LayerSpectrum(
        name=name,
        loop=loop,
        size=size,
        values=values.astype("float32"),
        norm=float(values[0]),
        bound=numerics.conv_norm_bound(kernel, conv.strides),
        stable_rank=float(np.mean(values**2) / values[0] ** 2),
    )
