"""The list of architectures: backbone_recurrence[_mfW], published networks, add-ons."""

import difflib

from stablevid_tf.cells.atb import ATB
from stablevid_tf.cells.basicvsr import BasicVSR
from stablevid_tf.cells.birlsp import BiRLSP
from stablevid_tf.cells.dbdnet import DBDNet
from stablevid_tf.cells.deblurring_cell import DeblurringCell
from stablevid_tf.cells.fastdvdnet import FastDVDnet
from stablevid_tf.cells.feat_cell import FeatCell
from stablevid_tf.cells.frame_cell import FrameCell
from stablevid_tf.cells.frvsr import FRVSR
from stablevid_tf.cells.gru import GRU
from stablevid_tf.cells.ifi_rnn import IFIRNN
from stablevid_tf.cells.irm import IRM
from stablevid_tf.cells.lstm import LSTM
from stablevid_tf.cells.memory_cell import MemoryCell
from stablevid_tf.cells.memory_unet import MemoryUNet
from stablevid_tf.cells.mobile_rrn import MobileRRN
from stablevid_tf.cells.mrvsr import MRVSR
from stablevid_tf.cells.rdbn import RDBN
from stablevid_tf.cells.rlsp_cell import RLSPCell
from stablevid_tf.cells.rlsp_super_resolution import RLSPSuperResolution
from stablevid_tf.cells.shift_cell import ShiftCell
from stablevid_tf.cells.single_cell import SingleCell
from stablevid_tf.cells.strcnn import STRCNN
from stablevid_tf.cells.wdvr2d import WDVR2D
from stablevid_tf.cells.wdvr3d import WDVR3D
from stablevid_tf.models.clip_restorer import ClipRestorer
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer

_RECURRENCES = {
    "single": SingleCell,
    "frame": FrameCell,
    "feat": FeatCell,
    "memory": MemoryCell,
    "rlsp": RLSPCell,
    "shift": ShiftCell,
    "birlsp": BiRLSP,
}
# Arguments that one recurrence alone takes.
_OWN = {"memory": {"flow_features", "gate_features", "groups", "retention"}}
_STAGES_ARGUMENT = {"vdncnn": "depth", "vresnet": "blocks"}
_WINDOWS = {"": 1, "_mf3": 3, "_mf7": 7}
# Networks that are one architecture: its class, the arguments that it takes beside
# those of every architecture, and those that the name settles.
_EVERY = {"constraint", "dtype", "frame_number"}
_WDVR = {"features", "blocks", "activations", "channels", "scale", "clip_length"}
_WDVR |= {"weight_norm"}
_WDVR3D = _WDVR | {"temporal_padding", "edges", "inflated_ends"}
_CODEC = {"features", "channels", "skip"}
_PUBLISHED = {
    "basicvsr": (BasicVSR, {"features", "blocks", "levels"}),
    "frvsr": (
        FRVSR,
        {"channels", "scale", "features", "blocks", "flow_features", "warp_loss"},
    ),
    "dbdnet": (DBDNet, {"features", "channels", "feedback"}),
    "memory_unet": (
        MemoryUNet,
        {
            "features",
            "blocks",
            "refine",
            "memory_features",
            "groups",
            "gate_features",
            "flow_features",
            "retention",
            "channels",
            "scale",
        },
    ),
    "mobile_rrn": (MobileRRN, {"features", "blocks", "channels"}),
    "mrvsr": (MRVSR, {"features"}),
    "rlsp": (RLSPSuperResolution, {"features"}),
    "gru": (GRU, _CODEC),
    "ifi_rnn": (IFIRNN, _CODEC | {"blocks"}),
    "lstm": (LSTM, _CODEC),
    "rdbn": (RDBN, _CODEC | {"blocks"}),
    "strcnn": (STRCNN, _CODEC | {"blocks"}),
    "fastdvdnet": (
        FastDVDnet,
        {"sigma", "features", "frame_features", "channels", "clip_length"},
    ),
    "wdvr2d": (WDVR2D, _WDVR | {"window"}),
    "wdvr3d_iai": (WDVR3D, _WDVR3D, {"design": "iai"}),
    "wdvr3d_ias": (WDVR3D, _WDVR3D, {"design": "ias"}),
    "wdvr3d_stas": (WDVR3D, _WDVR3D, {"design": "stas"}),
    "wdvr3d_tsas": (WDVR3D, _WDVR3D, {"design": "tsas"}),
}
# The deblurring networks in the add-ons of RIRN: {name: (network's name, add-on)}.
_ADD_ONS = {
    "irm": IRM,
    "atb": ATB,
    "rirn": lambda cell: ATB(IRM(cell)),
    "atb_atb": lambda cell: ATB(ATB(cell, on="hidden")),
    "irm_irm": lambda cell: IRM(IRM(cell), on="features"),
}
_WRAPPED = {
    f"{name}_{suffix}": (name, add_on)
    for name, (network_class, *_) in _PUBLISHED.items()
    if issubclass(network_class, DeblurringCell)
    for suffix, add_on in _ADD_ONS.items()
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
    return sorted([*combined, *_PUBLISHED, *_WRAPPED])


def build(name, **arguments):
    """Build an untrained model by its architecture's name.

    Args:
        name: one of :func:`names`.
        features: channels inside (64).
        blocks: residual blocks of VResNet (5); depth: body convolutions of VDnCNN
            (10). Published networks take few of these, and some of their own: their
            classes in ``stablevid_tf.cells`` tell, and so does the error. The
            deblurring networks stand alone or with ``_irm``, ``_atb``, ``_rirn``
            (both), ``_atb_atb``, ``_irm_irm``.
        channels: of an image (3); 1 for grey.
        scale: output pixels per input pixel along each axis (1); 2 and 4 for
            super-resolution.
        skip: predict what is wrong with the frame (True, VDnCNN and VResNet) or the
            frame itself (False, the deblurring networks).
        retention, groups, gate_features, flow_features: VDnCNN and VResNet with
            convex memories (``_memory``); see :class:`stablevid_tf.cells.MemoryCell`.
        noise_map: VDnCNN and VResNet: frames come with the noise's level as one more
            channel (False); see :func:`at_noise_level`.
        constraint: an :class:`stablevid_tf.constraints.SRNC`, or None.
        frame_number: tell the network how far the video has come, up to so many
            frames (:class:`stablevid_tf.cells.RecurrentVideoCell`); None: do not.
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
    base, add_on = _WRAPPED.get(name, (name, None))
    if base in _PUBLISHED:
        network_class, own, *settled = _PUBLISHED[base]
        _check(name, arguments, _EVERY | own)
        network = network_class(**arguments, **(settled[0] if settled else {}))
        if add_on is not None:
            network = add_on(network)
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
        _EVERY
        | {"features", stages, "channels", "scale", "skip", "noise_map"}
        | _OWN.get(recurrence, set()),
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
