"""Cells and clip networks as ``keras.Model``, and the list of architectures."""

# A compiled model's .keras file names its loss and metrics: one import loads it.
from stablevid_tf import losses as _losses  # noqa: F401
from stablevid_tf import metrics as _metrics  # noqa: F401
from stablevid_tf.models.architectures import build, names
from stablevid_tf.models.at_noise_level import at_noise_level
from stablevid_tf.models.at_strength import at_strength
from stablevid_tf.models.clip_restorer import ClipRestorer
from stablevid_tf.models.dampened import dampened
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer
from stablevid_tf.models.self_ensemble import self_ensemble
from stablevid_tf.models.table import Description, describe

__all__ = [
    "ClipRestorer",
    "Description",
    "RecurrentRestorer",
    "at_noise_level",
    "at_strength",
    "build",
    "dampened",
    "describe",
    "names",
    "self_ensemble",
]
