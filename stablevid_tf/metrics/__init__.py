"""Quality of restored video, as functions and as Keras metrics.

Per frame: PSNR, SSIM, LPIPS. Per pair of frames: tOF, the warping error (both need the
``metrics`` extra). For the eye: the temporal profile.
"""

from stablevid_tf.metrics.flow import tof, warping_error
from stablevid_tf.metrics.functions import psnr, ssim
from stablevid_tf.metrics.lpips import lpips
from stablevid_tf.metrics.lpips_metric import LPIPS
from stablevid_tf.metrics.lpips_weights import lpips_weights
from stablevid_tf.metrics.psnr_metric import PSNR
from stablevid_tf.metrics.ssim_metric import SSIM
from stablevid_tf.metrics.temporal_profile import temporal_profile
from stablevid_tf.metrics.tof_metric import TOF
from stablevid_tf.metrics.warping_error_metric import WarpingError

__all__ = [
    "LPIPS",
    "PSNR",
    "SSIM",
    "TOF",
    "WarpingError",
    "lpips",
    "lpips_weights",
    "psnr",
    "ssim",
    "temporal_profile",
    "tof",
    "warping_error",
]
