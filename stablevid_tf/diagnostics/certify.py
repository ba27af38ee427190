import dataclasses
import os
from typing import Any

import numpy as np

from stablevid_tf.diagnostics.kernels import declared_loops, layer_names, network_of
from stablevid_tf.diagnostics.loop_bound import LoopBound, loop_bound, norms
from stablevid_tf.diagnostics.subject import Subject
from stablevid_tf.layers.loop import path_gain

_UNDECLARED = (
    "It does not declare its feedback loops (`loops()`), so no proof is possible: run "
    "`diagnostics.long_run`."
)
_STATELESS = "Nothing is fed back: its memory ends after a fixed number of frames."


@dataclasses.dataclass(frozen=True)
class Certificate:
    """Whether a model is proved to forget its past (see `certify`).

    Attributes:
        model: the model's name.
        certified: whether the proof holds.
        contraction: the factor per frame by which a difference between two states
            shrinks in the long run: the largest loop gain, the spectral radius of
            `matrix`. 0 without feedback; None if nothing is proved.
        loops: a tuple of `diagnostics.LoopBound`.
        matrix: G, one row and one column per loop; None without loops, or if the cell
            does not declare how one loop feeds the next.
        norm: `"spectral"`, or `"infinity"` if a loop contains a warp.
        reason: the reason for the verdict, a sentence.
    """

    model: str
    certified: bool
    reason: str
    contraction: float | None = None
    loops: tuple[LoopBound, ...] = ()
    matrix: np.ndarray | None = None
    norm: str = "spectral"

    @property
    def verdict(self) -> str:
        """`"certified"` or `"not certified"`."""
        return "certified" if self.certified else "not certified"

    def summary(self) -> str:
        """The verdict and its reason, in one or two sentences."""
        return f"{self.model}: {self.verdict}. {self.reason}"

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG with the gain of each loop and the limit of 1."""
        from matplotlib.figure import Figure

        figure = Figure(
            figsize=(max(4, 1 + 0.6 * len(self.loops)), 3), layout="constrained"
        )
        axes = figure.subplots()
        axes.set_title(f"{self.model}: {self.verdict}")
        if self.loops:
            gains = [loop.gain for loop in self.loops]
            colours = ["C0" if gain < 1 else "C1" for gain in gains]
            bars = axes.bar(
                [loop.name for loop in self.loops], gains, 0.6, color=colours
            )
            axes.bar_label(bars, [f"{gain:.3g}" for gain in gains], label_type="center")
            axes.axhline(1, color="C2", lw=1)
            axes.set(
                xlabel="feedback loop (proof: all below 1)",
                ylabel="gain bound (per frame)",
            )
            if max(gains) > 20:
                axes.set_yscale("log")
        else:
            axes.set_axis_off()
            axes.text(0.5, 0.5, self.reason, ha="center", va="center", wrap=True)
        figure.savefig(path, dpi=150)


def certify(model: Any) -> Certificate:
    """Try to prove that a recurrent model forgets its past, for every frame size.

    Two copies of the model see the same frames and start from different states. Let
    `e_i(t)` be the norm of the difference of state i after frame t. A convolution
    enlarges a difference by no more than its norm, and a ReLU does not enlarge it. Let
    `g_i` be the product of the norms around loop i, and `s_i` that of the path from
    state i-1 to state i. Then:

        e_i(t) <= s_i e_(i-1)(t) + g_i e_i(t-1),   that is   e(t) <= G e(t-1),
        G = (I - S)^-1 diag(g),   S[i, i-1] = s_i

    For a block of VResNet `x + K2 relu(K1_x x + K1_h h)`: `g = ||K2|| ||K1_h||` and
    `s = 1 + ||K2|| ||K1_x||`; for a stage of VDnCNN `||K_h||` and `||K_x||`. G is
    lower triangular. If every `g_i < 1`, its powers vanish, and with them every
    difference, on any frames; a bounded input then gives a bounded state. In the plain
    norm a difference may grow for some frames first.

    The norms are `numerics.conv_norm_bound` of the kernels that inference runs (the
    folded ones, in float64, with the values that the model's own dtype holds). They
    are upper bounds with zero padding for every frame size. If a loop contains a warp,
    every norm is the infinity norm, `max over cout of sum |K|`.

    The proof does not cover rounding inside a step (a contraction keeps its effect
    small: it adds like a disturbance in each frame), or a cell that declares its loops
    wrongly: the proof is as good as `cell.loops()`. A model that is not certified may
    still be stable.

    Args:
        model: a restorer, a cell, or an object with `initial_state(frame)` and
            `step(frame, state)` (see `diagnostics.subject.Subject`), whose `loops()` or
            `cell.loops()` lists `layers.loop.Loop`. For a bidirectional clip model,
            each direction is certified.

    Returns:
        A `Certificate`. Without declared loops it is not certified.

    Raises:
        ValueError: the model has neither loops nor a state.

    Example:
        >>> from stablevid_tf import diagnostics, models
        >>> from stablevid_tf.constraints import SRNC
        >>> held = SRNC(0.9, where="loop", frame_size=8)
        >>> model = models.build("vresnet_feat", features=4, blocks=2, constraint=held)
        >>> found = diagnostics.certify(model)
        >>> found.certified, found.contraction <= 0.9, found.matrix.shape
        (True, True, (2, 2))
    """
    name = getattr(model, "name", type(model).__name__)
    network = network_of(model)
    loops = declared_loops(network)
    if loops is None:
        Subject(model)  # raises if there is no state either
        return Certificate(name, False, _UNDECLARED)
    if not loops:
        return Certificate(name, True, _STATELESS, contraction=0.0)
    names = layer_names(network)
    # One norm for all: the states' differences are compared with one another.
    kind = "infinity" if any(loop.warped for loop in loops) else "spectral"
    norm = norms(kind, names)
    try:
        bounds = tuple(loop_bound(loop, norm, names) for loop in loops)
        matrix = _matrix(loops, norm)
    except ValueError as error:
        return Certificate(name, False, f"No proof is possible: {error}.", norm=kind)
    largest = max(bound.gain for bound in bounds)
    return Certificate(
        name,
        certified=largest < 1,
        reason=_reason(bounds, kind),
        contraction=largest if largest < 1 else None,
        loops=bounds,
        matrix=matrix,
        norm=kind,
    )


def _matrix(loops, norm):
    """G, row by row: what state i gets through state i-1, and its own loop."""
    if any(loop.feed is None for loop in loops[1:]):
        return None
    rows = np.zeros((len(loops), len(loops)))
    for i, loop in enumerate(loops):
        if i:
            rows[i] = path_gain(loop.feed, norm) * rows[i - 1]
        rows[i, i] = loop.gain(norm)
    return rows


def _reason(bounds, kind):
    largest = max(bounds, key=lambda bound: bound.gain)
    if largest.gain < 1:
        return (
            "A difference between two states dies out on frames of any size: the gain "
            f"of every feedback loop is below 1, the largest {largest.gain:.3f} "
            f"({largest.name})."
        )
    above = sum(bound.gain >= 1 for bound in bounds)
    where = ""
    if largest.worst is not None:
        norm = dict(largest.factors)[largest.worst]
        where = f", where {largest.worst} has {kind} norm {norm:.3f}"
    return (
        f"{above} of {len(bounds)} feedback loops may have a gain of 1 or more; the "
        f"largest bound is {largest.gain:.3f} ({largest.name}){where}. This "
        "does not mean that the model is unstable: run `diagnostics.long_run`."
    )
