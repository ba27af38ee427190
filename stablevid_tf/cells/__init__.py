"""Recurrent cells: one frame and a state in, one frame and a state out.

Each recurrence is one file, and its ``call`` reads like its equation. The backbone
(VDnCNN or VResNet) is an argument: it decides what a stage of the body is.
"""

from stablevid_tf.cells.basicvsr import BasicVSR
from stablevid_tf.cells.birlsp import BiRLSP
from stablevid_tf.cells.feat_cell import FeatCell
from stablevid_tf.cells.fnet import FNet
from stablevid_tf.cells.frame_cell import FrameCell
from stablevid_tf.cells.frvsr import FRVSR
from stablevid_tf.cells.pyramid_flow import PyramidFlow
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.cells.rlsp_cell import RLSPCell
from stablevid_tf.cells.rlsp_super_resolution import RLSPSuperResolution
from stablevid_tf.cells.shift_cell import ShiftCell
from stablevid_tf.cells.single_cell import SingleCell
from stablevid_tf.cells.unroll import unroll, windows

__all__ = [
    "FRVSR",
    "BasicVSR",
    "BiRLSP",
    "FNet",
    "FeatCell",
    "FrameCell",
    "PyramidFlow",
    "RLSPCell",
    "RLSPSuperResolution",
    "RecurrentVideoCell",
    "ShiftCell",
    "SingleCell",
    "unroll",
    "windows",
]
