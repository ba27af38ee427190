"""Layers to build restorers from: convolutions of many kinds, body stages."""

from stablevid_tf.layers.batch_norm_stage import BatchNormStage
from stablevid_tf.layers.conv_stage import ConvStage
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.layers.gain_conv2d import GainConv2D
from stablevid_tf.layers.kernel_cache import cached_kernels
from stablevid_tf.layers.lucas_kanade import LucasKanade
from stablevid_tf.layers.reparametrised_conv2d import ReparametrisedConv2D
from stablevid_tf.layers.repeat_conv3d import RepeatConv3D
from stablevid_tf.layers.residual_dense_stage import ResidualDenseStage
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.layers.srn_conv2d import SRNConv2D
from stablevid_tf.layers.srnc_conv2d import SRNCConv2D
from stablevid_tf.layers.srnc_conv2d_transpose import SRNCConv2DTranspose
from stablevid_tf.layers.u_stage import UStage
from stablevid_tf.layers.weight_norm import WeightNorm
from stablevid_tf.layers.wide_activation import WideActivation

__all__ = [
    "BatchNormStage",
    "ConvStage",
    "FlowWarp",
    "GainConv2D",
    "LucasKanade",
    "ReparametrisedConv2D",
    "RepeatConv3D",
    "ResidualDenseStage",
    "ResidualStage",
    "SRNCConv2D",
    "SRNCConv2DTranspose",
    "SRNConv2D",
    "UStage",
    "WeightNorm",
    "WideActivation",
    "cached_kernels",
]
