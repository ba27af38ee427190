"""The list of architectures: backbone_recurrence[_mfW], and published networks."""

import difflib

from stablevid_tf.cells.basicvsr import BasicVSR
from stablevid_tf.cells.birlsp import BiRLSP
from stablevid_tf.cells.feat_cell import FeatCell
from stablevid_tf.cells.frame_cell import FrameCell
from stablevid_tf.cells.frvsr import FRVSR
from stablevid_tf.cells.rlsp_cell import RLSPCell
from stablevid_tf.cells.rlsp_super_resolution import RLSPSuperResolution
from stablevid_tf.cells.shift_cell import ShiftCell
from stablevid_tf.cells.single_cell import SingleCell
from stablevid_tf.models.clip_restorer import ClipRestorer
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer

_RECURRENCES = {
    "single": SingleCell,
    "frame": FrameCell,
    "feat": FeatCell,
    "rlsp": RLSPCell,
    "shift": ShiftCell,
    "birlsp": BiRLSP,
}
_STAGES_ARGUMENT = {"vdncnn": "depth", "vresnet": "blocks"}
_WINDOWS = {"": 1, "_mf3": 3, "_mf7": 7}
# Networks that are one architecture: its class and the arguments that it takes beside
# those of every architecture.
_EVERY = {"constraint", "dtype"}
_PUBLISHED = {
    "basicvsr": (BasicVSR, {"features", "blocks", "levels"}),
    "frvsr": (
        FRVSR,
        {"channels", "scale", "features", "blocks", "flow_features", "warp_loss"},
    ),
    "rlsp": (RLSPSuperResolution, {"features"}),
}


def names():
    """Every architecture's name, sorted.

    Example:
        >>> from stablevid_tf import models
        >>> "vresnet_feat" in models.names()
        True
    """
    combined = [
        f"{backbone}_{recurrence}{window}"
        for backbone in _STAGES_ARGUMENT
        for recurrence in _RECURRENCES
        for window in _WINDOWS
    ]
    return sorted([*combined, *_PUBLISHED])


def build(name, **arguments):
    """Build an untrained model by its architecture's name.

    Args:
        name: one of :func:`names`.
        features: channels inside (64).
        blocks: residual blocks of VResNet (5); depth: body convolutions of VDnCNN
            (10).
            ``rlsp`` takes ``features``, ``constraint`` and ``dtype`` alone.
            ``frvsr`` (scale 4 or 1) and ``basicvsr`` take ``features``, ``blocks`` and
            arguments of their own: :class:`stablevid_tf.cells.FRVSR`,
            :class:`stablevid_tf.cells.BasicVSR`.
        channels: of an image (3); 1 for grey.
        scale: output pixels per input pixel along each axis (1); 2 and 4 for
            super-resolution.
        skip: predict the noise (True) or the frame (False).
        constraint: an :class:`stablevid_tf.constraints.SRNC`, or None.
        dtype: a Keras dtype policy, e.g. ``"mixed_bfloat16"``.

    Returns:
        A built ``keras.Model`` (:class:`RecurrentRestorer`, or :class:`ClipRestorer`
        for the bidirectional ones).

    Raises:
        ValueError: an unknown name (the nearest is named), or an argument that the
            architecture does not take.

    Example:
        >>> from stablevid_tf import models
        >>> models.build("vresnet_feat").count_params()
        557123
    """
    if name not in names():
        near = difflib.get_close_matches(str(name), names(), n=1, cutoff=0.0)
        raise ValueError(
            f"No architecture is named {name!r}; the nearest is {near[0]!r}. "
            "stablevid_tf.models.names() lists them all."
        )
    if name in _PUBLISHED:
        network_class, own = _PUBLISHED[name]
        _check(name, arguments, _EVERY | own)
        network = network_class(**arguments)
    else:
        network = _combined(name, arguments)
    model_class = RecurrentRestorer if network.causal else ClipRestorer
    model = model_class(network, name=name)
    model.build()
    return model


def _combined(name, arguments):
    """The cell of a backbone and a recurrence."""
    backbone, recurrence, *mf = name.split("_")
    stages = _STAGES_ARGUMENT[backbone]
    _check(
        name,
        arguments,
        _EVERY | {"features", stages, "channels", "scale", "skip"},
    )
    if arguments.get("scale", 1) not in (1, 2, 4):
        raise ValueError(
            f"{name} restores at scale 1, 2 or 4. Received: {arguments['scale']!r}"
        )
    if stages in arguments:
        arguments["stages"] = arguments.pop(stages)
    window = int(mf[0][2:]) if mf else 1
    return _RECURRENCES[recurrence](backbone=backbone, window=window, **arguments)


def _check(name, arguments, allowed):
    unknown = sorted(set(arguments) - allowed)
    if unknown:
        raise ValueError(
            f"{name} does not take {unknown}. Its arguments: {sorted(allowed)}"
        )
