"""Layers to build restorers from: constrained convolutions and body stages."""

from stablevid_tf.layers.conv_stage import ConvStage
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.layers.gain_conv2d import GainConv2D
from stablevid_tf.layers.kernel_cache import cached_kernels
from stablevid_tf.layers.reparametrised_conv2d import ReparametrisedConv2D
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.layers.srn_conv2d import SRNConv2D
from stablevid_tf.layers.srnc_conv2d import SRNCConv2D
from stablevid_tf.layers.srnc_conv2d_transpose import SRNCConv2DTranspose

__all__ = [
    "ConvStage",
    "FlowWarp",
    "GainConv2D",
    "ReparametrisedConv2D",
    "ResidualStage",
    "SRNCConv2D",
    "SRNCConv2DTranspose",
    "SRNConv2D",
    "cached_kernels",
]
