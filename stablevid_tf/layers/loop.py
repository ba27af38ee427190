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
class Warp:
    """A bilinear warp by a flow that does not depend on the state.

    Its weights are not negative and sum to 1 at most: gain 1 in the infinity norm, and
    in that one only (many outputs may take the same input).
    """


@dataclasses.dataclass(frozen=True)
class Loop:
    """A state's way from where it enters the network to where it is written again.

    A cell lists its loops from first to last within a frame: a state may reach the
    states of later loops, never that of an earlier one.

    Args:
        name: for reports.
        entry: the slice of the convolution that sees the state.
        path: what else lies on the loop, each a :class:`ConvSlice`, a
            :class:`Residual` or a :class:`Warp`. ReLUs and global skips add no gain
            and are not named.
        feed: the path on which the new state of the loop before it in the list, and
            of no other, reaches this loop's state within the frame; None where that
            is not said.
    """

    name: str
    entry: ConvSlice
    path: tuple[ConvSlice | Residual | Warp, ...] = ()
    feed: tuple[ConvSlice | Residual, ...] | None = None

    @property
    def warped(self):
        """Whether the loop has a gain in the infinity norm only."""
        return any(isinstance(term, Warp) for term in self.path)

    def slices(self):
        """Every convolution slice on the loop, the entry first."""
        found = [self.entry]
        for term in self.path:
            if isinstance(term, Residual):
                found += term.branch
            elif isinstance(term, ConvSlice):
                found.append(term)
        return found

    def gain(self, norm):
        """The loop's gain bound, given ``norm(conv_slice)``.

        The norm of every slice must be the infinity norm where the loop is
        :attr:`warped`.
        """
        return norm(self.entry) * path_gain(self.path, norm)


def path_gain(path, norm):
    """Gain bound of a path: the product of its terms'."""
    gain = 1.0
    for term in path:
        gain = gain * term_gain(term, norm)
    return gain


def term_gain(term, norm):
    """Gain bound of one term of a path."""
    if isinstance(term, Warp):
        return 1.0
    return 1.0 + branch_gain(term, norm) if isinstance(term, Residual) else norm(term)


def branch_gain(residual, norm):
    """Gain bound of a residual's branch: the product of its norms."""
    product = 1.0
    for part in residual.branch:
        product = product * norm(part)
    return product
