"""A feedback loop: which convolutions a state passes through, and with what gain."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ConvSlice:
    """The input channels ``[start, stop)`` of a convolution layer; None for all.

    ``batch_norm``: the ``keras.layers.BatchNormalization`` that follows at once, or
    None. At inference it multiplies every output channel by
    ``gamma / sqrt(variance + epsilon)``: a part of the kernel.
    """

    conv: object
    start: int | None = None
    stop: int | None = None
    batch_norm: object | None = None


@dataclasses.dataclass(frozen=True)
class Residual:
    """``x + branch(x)``: gain at most 1 + that of the branch, a path of terms."""

    branch: tuple[object, ...]


@dataclasses.dataclass(frozen=True)
class Beside:
    """``[x, path(x)]``, concatenated: gain at most ``sqrt(1 + g^2)``, g the path's."""

    path: tuple[object, ...]


@dataclasses.dataclass(frozen=True)
class Lipschitz:
    """An activation that may enlarge differences, by its Lipschitz constant."""

    constant: float


@dataclasses.dataclass(frozen=True)
class Retention:
    """A product with weights from 0 to ``most`` that do not depend on the state.

    Of a convex memory, :func:`stablevid_tf.layers.remember.remember`: its gain is
    ``most`` in every norm that looks at the largest or at the summed squares of a map.
    """

    most: float


@dataclasses.dataclass(frozen=True)
class Unbounded:
    """An operation of which no bound is known that holds for every state.

    ``reason`` says why, in words that end a sentence: whoever asks for the gain gets
    it as a ValueError.
    """

    reason: str


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
        entry: the slice of the convolution that sees the state; None where no
            convolution lies on the loop.
        path: what else lies on the loop, each a :class:`ConvSlice`, a
            :class:`Residual`, a :class:`Beside`, a :class:`Lipschitz`, a
            :class:`Retention`, a :class:`Warp` or an :class:`Unbounded`. ReLUs and
            global skips add no gain and are not named.
        feed: the path on which the new state of the loop before it in the list, and
            of no other, reaches this loop's state within the frame; None where that
            is not said.
        enters: whether the state meets the network in ``entry`` alone. False where it
            also enters by a skip or a gate: the entry is then a convolution that all
            of the loop passes, whichever, and cannot dampen the state.
    """

    name: str
    entry: ConvSlice | None
    path: tuple[object, ...] = ()
    feed: tuple[object, ...] | None = None
    enters: bool = True

    @property
    def warped(self):
        """Whether the loop has a gain in the infinity norm only."""
        return any(isinstance(term, Warp) for term in terms_of(self.path))

    @property
    def unbounded(self):
        """Why the loop has no gain bound, or None where it has one."""
        reasons = [t.reason for t in terms_of(self.path) if isinstance(t, Unbounded)]
        return f"{self.name}: {reasons[0]}" if reasons else None

    def slices(self):
        """Every convolution slice on the loop, the entry first."""
        inner = [t for t in terms_of(self.path) if isinstance(t, ConvSlice)]
        return inner if self.entry is None else [self.entry, *inner]

    def gain(self, norm):
        """The loop's gain bound, given ``norm(conv_slice)``.

        The norm of every slice must be the infinity norm where the loop is
        :attr:`warped`.
        """
        if self.unbounded:
            raise ValueError(self.unbounded)
        gain = path_gain(self.path, norm)
        return gain if self.entry is None else norm(self.entry) * gain


def around(name, path):
    """The :class:`Loop` of a state that enters otherwise than by one convolution.

    Args:
        name: for reports.
        path: all that lies on the loop, from the old state to the new one. Its last
            :class:`ConvSlice` becomes the loop's entry.
    """
    at = max(i for i, term in enumerate(path) if isinstance(term, ConvSlice))
    return Loop(name, path[at], (*path[at + 1 :], *path[:at]), enters=False)


def terms_of(path):
    """Every term of a path, also those inside residuals and concatenations."""
    for term in path:
        yield term
        if isinstance(term, Residual):
            yield from terms_of(term.branch)
        elif isinstance(term, Beside):
            yield from terms_of(term.path)


def path_gain(path, norm):
    """Gain bound of a path: the product of its terms'."""
    gain = 1.0
    for term in path:
        gain = gain * term_gain(term, norm)
    return gain


def term_gain(term, norm):
    """Gain bound of one term of a path.

    Raises:
        ValueError: the term is :class:`Unbounded`; the message is its reason.
    """
    if isinstance(term, Unbounded):
        raise ValueError(term.reason)
    if isinstance(term, Warp):
        return 1.0
    if isinstance(term, Lipschitz):
        return term.constant
    if isinstance(term, Retention):
        return term.most
    if isinstance(term, Residual):
        return 1.0 + path_gain(term.branch, norm)
    if isinstance(term, Beside):
        return (1.0 + path_gain(term.path, norm) ** 2) ** 0.5
    return norm(term)
