"""What spoils a clip: each as a function of a NumPy clip and as a Keras layer.

A clip is [T, H, W, C], floating in [0, 1]. A function takes the clip, its settings and,
where chance plays a part, a NumPy generator. A layer holds the settings: it gives pairs
``(degraded, target)`` that show the same place at the same time, and serves
``ClipDataset(degrade=...)``, ``tf.data`` and NumPy arrays alike.
"""

from stablevid_tf.data.degradations.bicubic_down import BicubicDown, bicubic_down
from stablevid_tf.data.degradations.camera import Camera, camera
from stablevid_tf.data.degradations.degradation import Degradation
from stablevid_tf.data.degradations.gaussian_down import GaussianDown, gaussian_down
from stablevid_tf.data.degradations.gaussian_noise import (
    GaussianNoise,
    gaussian_noise,
)
from stablevid_tf.data.degradations.h264 import H264, h264
from stablevid_tf.data.degradations.motion_blur import MotionBlur, motion_blur
from stablevid_tf.data.degradations.one_of import OneOf
from stablevid_tf.data.degradations.poisson_gaussian import (
    PoissonGaussian,
    poisson_gaussian,
)

__all__ = [
    "H264",
    "BicubicDown",
    "Camera",
    "Degradation",
    "GaussianDown",
    "GaussianNoise",
    "MotionBlur",
    "OneOf",
    "PoissonGaussian",
    "bicubic_down",
    "camera",
    "gaussian_down",
    "gaussian_noise",
    "h264",
    "motion_blur",
    "poisson_gaussian",
]
