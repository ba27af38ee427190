"""Pure functions: what a convolution does as a linear operator, and how to bound it.

``K`` is a kernel [*taps, cin, cout], ``W`` the linear operator of its convolution
on maps of a given size. Nothing here holds state.
"""

from stablevid_tf.numerics.frobenius import conv_frobenius_squared, tap_counts
from stablevid_tf.numerics.normalisation import srn_kernel, srnc_kernel
from stablevid_tf.numerics.power import power_iteration, start_vectors
from stablevid_tf.numerics.spectrum import (
    conv_norm,
    conv_norm_bound,
    conv_singular_values,
    stable_rank,
)

__all__ = [
    "conv_frobenius_squared",
    "conv_norm",
    "conv_norm_bound",
    "conv_singular_values",
    "power_iteration",
    "srn_kernel",
    "srnc_kernel",
    "stable_rank",
    "start_vectors",
    "tap_counts",
]
