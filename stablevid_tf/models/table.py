"""What every architecture is, told by the code itself: the table of models."""

import contextlib
import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from stablevid_tf import backend
from stablevid_tf.models.architectures import build, names
from stablevid_tf.models.restorer import convs

# Operations are counted on such a clip: sides that strides and pyramids divide.
_SIDE = 64
_FRAMES = 7


@dataclasses.dataclass(frozen=True)
class Description:
    """An architecture in numbers (see :func:`describe`).

    Attributes:
        name: of the architecture.
        paper: that it comes from.
        task: ``"denoising"``, ``"super-resolution"`` or ``"deblurring"``.
        parameters: trainable numbers.
        causal: whether frames can be restored one by one.
        latency: frames that it looks ahead; None where it sees the whole clip.
        loops: feedback loops; None where the network does not declare them, and no
            certificate is possible.
        operations: multiply-adds of all convolutions, per input pixel and frame.
    """

    name: str
    paper: str
    task: str
    parameters: int
    causal: bool
    latency: int | None
    loops: int | None
    operations: float

    @property
    def recurrent(self) -> bool:
        """Whether anything is fed back."""
        return self.loops != 0


def describe(name: str, **arguments: Any) -> Description:
    """An architecture in numbers, counted on the built network.

    Operations are the multiply-adds of convolutions, transposed ones too, each output
    pixel counted as if no tap left the frame; sums, warps and interpolation are not
    counted. Of a clip network they are the mean over a clip of seven frames.

    Args:
        name, **arguments: as for :func:`stablevid_tf.models.build`.

    Returns:
        A :class:`Description`.

    Example:
        >>> from stablevid_tf import models
        >>> found = models.describe("vresnet_feat", features=8, blocks=2)
        >>> found.parameters, found.operations, found.loops
        (3931, 3888.0, 2)
    """
    model = build(name, **arguments)
    network = model.network
    return Description(
        name=name,
        paper=network.paper,
        task=network.task,
        parameters=sum(math.prod(v.shape) for v in model.trainable_variables),
        causal=model.causal,
        latency=model.latency if model.causal else None,
        loops=_loops(network),
        operations=_operations(model),
    )


def markdown(descriptions: Iterable[Description] | None = None) -> str:
    """The Markdown table of all architectures at their published sizes.

    Variants ``_mf3`` and ``_mf7`` differ in the first convolution alone and are left
    out.

    Args:
        descriptions: those to list, each a :class:`Description`; by default all.
    """
    if descriptions is None:
        descriptions = [describe(name) for name in listed()]
    rows = [
        "| model | paper | task | parameters | recurrent | looks ahead | loops "
        "| multiply-adds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*rows, *map(row, descriptions)])


def listed() -> list[str]:
    """The names that have a row in :func:`markdown`."""
    unlisted = ("_mf3", "_mf7", "_irm", "_atb")
    return [name for name in names() if not name.endswith(unlisted)]


def row(found: Description) -> str:
    """The row of one :class:`Description`."""
    authors, *_, year = found.paper.split(", ")
    ahead = "the whole clip" if found.latency is None else str(found.latency)
    loops = "not declared" if found.loops is None else str(found.loops)
    cells = [
        f"`{found.name}`",
        f"{authors}, {year}",
        found.task,
        f"{found.parameters:,}",
        "yes" if found.recurrent else "no",
        ahead,
        loops,
        f"{found.operations:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _loops(network):
    try:
        return len(network.loops())
    except NotImplementedError:
        return None


def _operations(model):
    """Multiply-adds per input pixel and frame."""
    network = model.network
    if model.causal:
        with backend.outside_graph():
            state = network.initial_state(ops.zeros((1, _SIDE, _SIDE, model.channels)))
        seen = [keras.KerasTensor((1, _SIDE, _SIDE, network.inputs)), state]
        frames = 1
    else:
        seen = [keras.KerasTensor((1, _FRAMES, _SIDE, _SIDE, model.frame_channels))]
        frames = _FRAMES
    with _counted(convs(network)) as counts:
        network.compute_output_spec(*seen)
    return sum(counts) / (frames * _SIDE**2)


@contextlib.contextmanager
def _counted(layers):
    """Context whose list gets the multiply-adds of every call of these convolutions."""
    counts = []
    for layer in layers:
        layer.call = _counting(layer, layer.call, counts)
    try:
        yield counts
    finally:
        for layer in layers:
            del layer.call


def _counting(layer, call, counts):
    def counted(x, *args, **kwargs):
        y = call(x, *args, **kwargs)
        # Every pixel of the smaller side meets the whole kernel: outputs of a
        # convolution, inputs of a transposed one.
        transposed = "Transpose" in type(layer).__name__
        batch, *space, _ = (x if transposed else y).shape
        counts.append(batch * math.prod(space) * math.prod(layer.kernel.shape))
        return y

    return counted
