"""A user's own videos."""

from stablevid_tf.data.builders.video_builder import VideoBuilder

_SPLITS = ("train", "validation", "test")


class Builder(VideoBuilder):
    """Video files and folders of pictures, of any size and length."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed: a folder of video files and of folders of pictures (one folder a video), or
    such folders named train, validation and test.
    """

    def folders(self, root):
        splits = {name: root / name for name in _SPLITS if (root / name).is_dir()}
        return splits or {"train": root}
