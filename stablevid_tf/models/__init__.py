"""Cells and clip networks as ``keras.Model``, and the list of architectures."""

from stablevid_tf.models.architectures import build, names
from stablevid_tf.models.clip_restorer import ClipRestorer
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer

__all__ = ["ClipRestorer", "RecurrentRestorer", "build", "names"]
