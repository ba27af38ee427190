import dataclasses
import functools

import numpy as np

from stablevid_tf import numerics
from stablevid_tf.diagnostics.kernels import TRANSPOSED, slice_name, slice_of
from stablevid_tf.layers.loop import ConvSlice, term_gain, terms_of

# Activations inside a layer that enlarge no difference.
_FLAT = ("linear", "relu", "relu6", "sigmoid", "tanh")


@dataclasses.dataclass(frozen=True)
class LoopBound:
    """How much a feedback loop can enlarge a difference between two states.

    Attributes:
        name: the loop's name.
        gain: the bound for every frame size: the product over the loop's terms.
        factors: `((slice of a convolution, norm), ...)` in the order in which the
            state meets them, e.g. `("body[2].conv1[64:]", 0.31)`.
        worst: the slice with the largest norm in the loop's largest term; None if no
            convolution lies on the loop.
    """

    name: str
    gain: float
    factors: tuple[tuple[str, float], ...]
    worst: str | None


def loop_bound(loop, norm, names):
    """The `LoopBound` of a `layers.loop.Loop`.

    Args:
        loop: the declaration.
        norm: `norm(conv_slice)`.
        names: `{layer: name}`.
    """
    gain = loop.gain(norm)  # raises where there is none
    terms = [
        t
        for t in (loop.entry, *loop.path)
        if any(isinstance(inner, ConvSlice) for inner in terms_of([t]))
    ]
    if not terms:
        return LoopBound(loop.name, gain, (), None)
    largest = max(terms, key=lambda term: term_gain(term, norm))
    parts = [t for t in terms_of([largest]) if isinstance(t, ConvSlice)]
    return LoopBound(
        name=loop.name,
        gain=gain,
        factors=tuple((slice_name(part, names), norm(part)) for part in loop.slices()),
        worst=slice_name(max(parts, key=norm), names),
    )


def norms(kind, names):
    """The function `norm(conv_slice)`, an upper bound for every frame size.

    Args:
        kind: `"spectral"` or `"infinity"`.
        names: `{layer: name}`, for errors.
    """

    # Each slice is measured once.
    @functools.cache
    def norm(part):
        try:
            kernel = slice_of(part)
            check_activation(part.conv)
        except ValueError as error:
            raise ValueError(f"{slice_name(part, names)}: {error}") from error
        if kind == "spectral":
            return numerics.conv_norm_bound(kernel, part.conv.strides)
        if isinstance(part.conv, TRANSPOSED):
            return transposed_infinity_norm(kernel, part.conv.strides)
        return infinity_norm(kernel)

    return norm


def infinity_norm(kernel):
    """`max over cout of sum |K|`: the most by which a convolution enlarges `max |x|`.

    The bound is reached with zero padding wherever no tap leaves the frame.
    """
    return float(np.abs(kernel).sum(axis=tuple(range(kernel.ndim - 1))).max())


def transposed_infinity_norm(kernel, strides):
    """The infinity norm of a transposed convolution, `kernel` [*taps, cout, cin].

    An output pixel sees every `strides`-th tap, and its phase decides which ones. The
    norm is the largest sum of `|K|` over the phases.
    """
    phases = (
        kernel[tuple(slice(p, None, s) for p, s in zip(phase, strides, strict=True))]
        for phase in np.ndindex(*strides)
    )
    return max(infinity_norm(np.swapaxes(part, -1, -2)) for part in phases)


def check_activation(conv):
    """Raise unless the layer's own activation enlarges no difference."""
    name = getattr(getattr(conv, "activation", None), "__name__", "linear")
    if name not in _FLAT:
        raise ValueError(
            f"its activation {name} may enlarge differences. Use one of {_FLAT}"
        )
