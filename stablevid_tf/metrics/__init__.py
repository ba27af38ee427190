"""Image quality, one value per frame, and the same as Keras metrics."""

from stablevid_tf.metrics.functions import psnr, ssim
from stablevid_tf.metrics.psnr import PSNR
from stablevid_tf.metrics.ssim import SSIM

__all__ = ["PSNR", "SSIM", "psnr", "ssim"]
