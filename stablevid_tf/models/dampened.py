"""A model that believes less in its memory."""

import math
from typing import Any

from keras import ops

from stablevid_tf.models.clip_restorer import ClipRestorer
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer


def dampened(
    model: RecurrentRestorer | ClipRestorer, factor: float
) -> RecurrentRestorer | ClipRestorer:
    """A folded twin whose state counts ``factor`` times what it did.

    ``(factor K) * h(t-1) = K * (factor h(t-1))``: of every feedback loop's entry
    convolution the input channels that see the state are scaled, the others are left
    alone, so that running the twin is running ``model`` with its state multiplied at
    every step. A plain model comes out: it can be certified, saved and exported.
    Source: Tanay et al., appendix F (feature dampening), where VResNet-feat becomes
    stable at 0.55 and loses 1.1 dB.

    Args:
        model: a :class:`stablevid_tf.models.RecurrentRestorer` or
            :class:`stablevid_tf.models.ClipRestorer`; not changed.
        factor: 0 (no memory) to 1 (the model itself). Above 1 the twin is less
            stable than the model.

    Returns:
        A model of the same class.

    Raises:
        ValueError: ``factor`` is negative or not finite; the model declares no
            feedback loop, or has none, or its state enters by more than convolutions
            (the deblurring networks).

    Example:
        >>> from stablevid_tf import models
        >>> from stablevid_tf.models import dampened
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> calm = dampened(model, 0.5)
        >>> state_slice = model.cell.body[0].conv1.kernel[0, 0, 8, 0]
        >>> float(calm.cell.body[0].conv1.kernel[0, 0, 8, 0] / state_slice)
        0.5
    """
    if not (math.isfinite(factor) and factor >= 0):
        raise ValueError(
            f"factor must be 0 or more, usually below 1. Received: factor={factor!r}"
        )
    _check(model)
    model.build()
    folded = model.fold()
    twin = type(folded).from_config(folded.get_config())
    twin.build()
    twin.set_weights(folded.get_weights())
    # A set: two loops may enter by one slice.
    for entry in {loop.entry for loop in twin.loops()}:
        kernel = ops.convert_to_numpy(entry.conv.kernel).copy()
        kernel[..., entry.start : entry.stop, :] *= factor
        entry.conv.kernel.assign(kernel)
    return twin


def can_dampen(model: Any) -> bool:
    """Whether :func:`dampened` takes a model."""
    try:
        _check(model)
    except ValueError:
        return False
    return True


def _check(model):
    """Raise where no kernel can be scaled that the state enters by."""
    try:
        loops = model.loops()
    except (AttributeError, NotImplementedError) as error:
        raise ValueError(
            f"{getattr(model, 'name', type(model).__name__)} does not declare its "
            "feedback loops (loops()), so it is not known what to dampen. Use "
            "another strategy, such as burst or guard"
        ) from error
    if not loops:
        raise ValueError(
            f"{model.name} has no feedback loop: there is nothing to dampen, and "
            "nothing to fear from long videos"
        )
    beside = [x.name for x in loops if x.entry is None or not x.enters]
    if beside:
        raise ValueError(
            f"{model.name} cannot be dampened: the state of {beside[0]!r} also enters "
            "through a skip or a gate, so no kernel scales it. Use another strategy, "
            "such as burst or guard"
        )
