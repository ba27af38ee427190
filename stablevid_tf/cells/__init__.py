"""Recurrent cells: one frame and a state in, one frame and a state out.

Each recurrence is one file, and its ``call`` reads like its equation. The backbone
(VDnCNN or VResNet) is an argument: it decides what a stage of the body is.
"""

from stablevid_tf.cells.atb import ATB
from stablevid_tf.cells.basicvsr import BasicVSR
from stablevid_tf.cells.birlsp import BiRLSP
from stablevid_tf.cells.dbdnet import DBDNet
from stablevid_tf.cells.deblurring_cell import DeblurringCell
from stablevid_tf.cells.fastdvdnet import FastDVDnet
from stablevid_tf.cells.feat_cell import FeatCell
from stablevid_tf.cells.fnet import FNet
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
from stablevid_tf.cells.noise_level_cell import NoiseLevelCell
from stablevid_tf.cells.pyramid_flow import PyramidFlow
from stablevid_tf.cells.rdbn import RDBN
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.cells.rlsp_cell import RLSPCell
from stablevid_tf.cells.rlsp_super_resolution import RLSPSuperResolution
from stablevid_tf.cells.self_ensemble_cell import SelfEnsembleCell
from stablevid_tf.cells.self_ensemble_clip import SelfEnsembleClip
from stablevid_tf.cells.shift_cell import ShiftCell
from stablevid_tf.cells.single_cell import SingleCell
from stablevid_tf.cells.strcnn import STRCNN
from stablevid_tf.cells.strength_cell import StrengthCell
from stablevid_tf.cells.strength_clip import StrengthClip
from stablevid_tf.cells.unroll import unroll, windows
from stablevid_tf.cells.wdvr2d import WDVR2D
from stablevid_tf.cells.wdvr3d import WDVR3D
from stablevid_tf.cells.window_network import WindowNetwork

__all__ = [
    "ATB",
    "FRVSR",
    "GRU",
    "IFIRNN",
    "IRM",
    "LSTM",
    "MRVSR",
    "RDBN",
    "STRCNN",
    "WDVR2D",
    "WDVR3D",
    "BasicVSR",
    "BiRLSP",
    "DBDNet",
    "DeblurringCell",
    "FNet",
    "FastDVDnet",
    "FeatCell",
    "FrameCell",
    "MemoryCell",
    "MemoryUNet",
    "MobileRRN",
    "NoiseLevelCell",
    "PyramidFlow",
    "RLSPCell",
    "RLSPSuperResolution",
    "RecurrentVideoCell",
    "SelfEnsembleCell",
    "SelfEnsembleClip",
    "ShiftCell",
    "SingleCell",
    "StrengthCell",
    "StrengthClip",
    "WindowNetwork",
    "unroll",
    "windows",
]
