"""Data: video files in and out, and clips to train on."""

from typing import TYPE_CHECKING

from stablevid_tf.data import builders, sequences
from stablevid_tf.data.camera_path import CameraPath
from stablevid_tf.data.images_reader import ImageReader
from stablevid_tf.data.images_writer import ImageWriter
from stablevid_tf.data.noise_level import noise_level
from stablevid_tf.data.video import create_video, open_video
from stablevid_tf.data.video_colour import VideoColour
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_frame import VideoFrame
from stablevid_tf.data.video_info import VideoInfo
from stablevid_tf.data.video_reader import VideoReader
from stablevid_tf.data.video_writer import VideoWriter

__all__ = [
    "CameraPath",
    "ClipDataset",
    "ClipMixture",
    "ImageReader",
    "ImageWriter",
    "TfdsClips",
    "VideoColour",
    "VideoError",
    "VideoFrame",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "builders",
    "create_video",
    "degradations",
    "noise_level",
    "open_video",
    "sequences",
]

if TYPE_CHECKING:
    from stablevid_tf.data import degradations
    from stablevid_tf.data.clip_dataset import ClipDataset
    from stablevid_tf.data.clip_mixture import ClipMixture
    from stablevid_tf.data.tfds_clips import TfdsClips
else:  # Not for type checkers: with it they accept any name of this module.

    def __getattr__(name):
        # Keras takes seconds to import: reading a video does not wait for it.
        if name == "ClipDataset":
            from stablevid_tf.data.clip_dataset import ClipDataset

            return ClipDataset
        if name == "ClipMixture":
            from stablevid_tf.data.clip_mixture import ClipMixture

            return ClipMixture
        if name == "degradations":
            import stablevid_tf.data.degradations as degradations

            return degradations
        if name == "TfdsClips":
            from stablevid_tf.data.tfds_clips import TfdsClips

            return TfdsClips
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
