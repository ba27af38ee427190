"""The list of architectures: backbone_recurrence[_mfW], published networks, add-ons."""

import difflib
import inspect
from typing import Any

import keras

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
# The argument that sets the number of stages of each backbone.
_STAGES = {"vdncnn": "depth", "vresnet": "blocks"}
_WINDOWS = {"": 1, "_mf3": 3, "_mf7": 7}
_PUBLISHED = {
    "basicvsr": BasicVSR,
    "dbdnet": DBDNet,
    "fastdvdnet": FastDVDnet,
    "frvsr": FRVSR,
    "gru": GRU,
    "ifi_rnn": IFIRNN,
    "lstm": LSTM,
    "memory_unet": MemoryUNet,
    "mobile_rrn": MobileRRN,
    "mrvsr": MRVSR,
    "rdbn": RDBN,
    "rlsp": RLSPSuperResolution,
    "strcnn": STRCNN,
    "wdvr2d": WDVR2D,
}
# {name: (network class, the arguments that the name settles)}.
_NETWORKS = {
    f"{backbone}_{recurrence}{suffix}": (cell, {"backbone": backbone, "window": window})
    for backbone in _STAGES
    for recurrence, cell in _RECURRENCES.items()
    for suffix, window in _WINDOWS.items()
}
_NETWORKS |= {name: (network, {}) for name, network in _PUBLISHED.items()}
_NETWORKS |= {
    f"wdvr3d_{design}": (WDVR3D, {"design": design})
    for design in ("iai", "ias", "stas", "tsas")
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
    for name, network_class in _PUBLISHED.items()
    if issubclass(network_class, DeblurringCell)
    for suffix, add_on in _ADD_ONS.items()
}


def names() -> list[str]:
    """Every architecture's name, sorted.

    Example:
        >>> from stablevid_tf import models
        >>> "vresnet_feat" in models.names()
        True
    """
    return sorted([*_NETWORKS, *_WRAPPED])


def build(name: str, **arguments: Any) -> RecurrentRestorer | ClipRestorer:
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
        retention, groups, gate_features, align: VDnCNN and VResNet with convex
            memories (``_memory``); see :class:`stablevid_tf.cells.MemoryCell`.
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
        ValueError: an unknown name, or an argument that the architecture does not
            take. The message gives the nearest name and all arguments.

    Example:
        >>> from stablevid_tf import models
        >>> models.build("vresnet_feat").count_params()
        557123
    """
    if name not in names():
        (near,) = difflib.get_close_matches(str(name).lower(), names(), 1, cutoff=0.0)
        raise ValueError(
            f"No architecture is named {name!r}; the nearest is {near!r}. Choose from "
            "stablevid_tf.models.names()."
        )
    base, add_on = _WRAPPED.get(name, (name, None))
    network_class, settled = _NETWORKS[base]
    stages = _STAGES.get(settled.get("backbone"))
    allowed = _arguments(network_class) - set(settled)
    if stages:
        allowed = allowed - {"stages"} | {stages}
    _check(name, arguments, allowed)
    if stages:
        if arguments.get("scale", 1) not in (1, 2, 4):
            raise ValueError(
                f"{name} restores at scale 1, 2 or 4. Received: {arguments['scale']!r}"
            )
        if stages in arguments:
            arguments["stages"] = arguments.pop(stages)
    network = network_class(**arguments, **settled)
    if add_on is not None:
        network = add_on(network)
    model_class = RecurrentRestorer if network.causal else ClipRestorer
    model = model_class(network, name=name)
    model.build()
    return model


def _arguments(network_class):
    """The names of the arguments that a network takes, of its base classes too."""
    # Of Keras' own arguments only dtype: the architecture's name names the model.
    found = {"dtype"}
    ancestors = network_class.__mro__
    for each in ancestors[: ancestors.index(keras.layers.Layer)]:
        if "__init__" in vars(each):
            own = inspect.signature(each.__init__).parameters
            found |= set(own)
            if "kwargs" not in own:
                break
    if not network_class.can_number:
        found.discard("frame_number")
    return found - {"self", "kwargs", *network_class.settled}


def _check(name, arguments, allowed):
    unknown = sorted(set(arguments) - allowed)
    if unknown:
        allowed = sorted(allowed)
        near = [
            repr(found)
            for each in unknown
            for found in difflib.get_close_matches(each, allowed, n=1)
        ]
        hint = f" Did you mean {' and '.join(near)}?" if near else ""
        raise ValueError(
            f"{name} does not take {unknown}.{hint} Choose from: {', '.join(allowed)}."
        )
