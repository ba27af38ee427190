"""The long Vimeo videos of Mori and Ukita."""

from stablevid_tf.data.builders.video_builder import VideoBuilder


class Builder(VideoBuilder):
    """278 videos of 120 frames; not Vimeo-90k."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed: a folder train with 278 videos of 120 frames and a folder validation with
    four, each a video file or a folder of pictures. The set is not distributed, only
    described (Mori and Ukita, tables I and II; Sajjadi et al., section 4.1): this
    layout is this builder's own.
    """
    COUNTS = {"train": 278, "validation": 4}

    def folders(self, root):
        return {split: root / split for split in self.COUNTS}

    def whole(self, videos):
        return [
            f"{split} holds {len(videos[split])} videos of {count}"
            for split, count in self.COUNTS.items()
            if len(videos[split]) != count
        ]
