"""Restoring any number of frames in bounded memory."""

from stablevid_tf.streaming.restore import restore
from stablevid_tf.streaming.restore_file import restore_file

__all__ = ["restore", "restore_file"]
