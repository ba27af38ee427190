"""A feedback loop: which convolutions a state passes through, and with what gain."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ConvSlice:
    """The input channels ``[start, stop)`` of a convolution layer; None for all."""

    conv: object
    start: int | None = None
    stop: int | None = None


@dataclasses.dataclass(frozen=True)
class Residual:
    """``x + (convs of the branch)(x)``: gain at most 1 + the product of their norms."""

    branch: tuple[ConvSlice, ...]


@dataclasses.dataclass(frozen=True)
class Loop:
    """A state's way from where it enters the network to where it is written again.

    Args:
        name: for reports.
        entry: the slice of the convolution that sees the state.
        path: what follows on the loop, each a :class:`ConvSlice` or a
            :class:`Residual`. ReLUs and global skips add no gain and are not named.
    """

    name: str
    entry: ConvSlice
    path: tuple[ConvSlice | Residual, ...] = ()

    def slices(self):
        """Every convolution slice on the loop, the entry first."""
        found = [self.entry]
        for term in self.path:
            found += term.branch if isinstance(term, Residual) else [term]
        return found

    def gain(self, norm):
        """The loop's gain bound, given ``norm(conv_slice)``."""
        gain = norm(self.entry)
        for term in self.path:
            gain = gain * term_gain(term, norm)
        return gain


def term_gain(term, norm):
    """Gain bound of one term of a path."""
    return 1.0 + branch_gain(term, norm) if isinstance(term, Residual) else norm(term)


def branch_gain(residual, norm):
    """Gain bound of a residual's branch: the product of its norms."""
    product = 1.0
    for part in residual.branch:
        product = product * norm(part)
    return product
