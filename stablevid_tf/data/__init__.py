"""Data: video files in and out, and clips to train on."""

from stablevid_tf.data.clip_dataset import ClipDataset
from stablevid_tf.data.video import create_video, open_video
from stablevid_tf.data.video_error import VideoError

__all__ = ["ClipDataset", "VideoError", "create_video", "open_video"]
