"""Image quality, one value per frame, and the same as Keras metrics."""

from stablevid_tf.metrics.functions import psnr, ssim
from stablevid_tf.metrics.psnr_metric import PSNR
from stablevid_tf.metrics.ssim_metric import SSIM

__all__ = ["PSNR", "SSIM", "psnr", "ssim"]
