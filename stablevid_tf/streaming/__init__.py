"""Restoring any number of frames in bounded memory."""

from stablevid_tf.streaming.burst import Burst
from stablevid_tf.streaming.dampen import Dampen
from stablevid_tf.streaming.guard import Guard
from stablevid_tf.streaming.overlap import Overlap
from stablevid_tf.streaming.restore import restore
from stablevid_tf.streaming.restore_file import restore_file

__all__ = ["Burst", "Dampen", "Guard", "Overlap", "restore", "restore_file"]
