"""GoPro, motion blur by averaging."""

from stablevid_tf.data.builders.archive import find
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder, tfds


class Builder(SequenceBuilder):
    """Blurred and sharp frames of 1280x720 in pairs."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed: GOPRO_Large.zip of https://seungjunnah.github.io/Datasets/gopro.html, as it
    is or unpacked. It holds train and test; in each a folder a video, such as
    train/GOPR0372_07_00, with blur, blur_gamma and sharp, in each the same names,
    such as 000047.png.
    """
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="blur", description="coded frames averaged"),
        tfds.core.BuilderConfig(
            name="blur_gamma", description="a gamma of 2.2 undone before the average"
        ),
    ]
    # Videos and pairs of each split.
    COUNTS = {"train": (22, 2103), "test": (11, 1111)}

    def paired(self):
        return True

    def sequences(self, root, missing):
        splits = {}
        for split, (videos, pairs) in self.COUNTS.items():
            archive = find(root, "GOPRO_Large.zip", f"GOPRO_Large/{split}", split)
            if archive is None:
                missing.append(f"{root}/GOPRO_Large.zip, and no folder {split}")
                continue
            splits[split] = {}
            for name in archive.names():
                sharp = archive.names(f"{name}/sharp")
                if not sharp:
                    continue
                splits[split][name] = {
                    feature: (archive, [f"{name}/{kind}/{n}" for n in sharp])
                    for feature, kind in (
                        ("video", "sharp"),
                        ("input", self.builder_config.name),
                    )
                }
            lengths = [len(s["video"][1]) for s in splits[split].values()]
            if (len(lengths), sum(lengths)) != (videos, pairs):
                missing.append(
                    f"{archive.where()} holds {sum(lengths)} sharp frames in "
                    f"{len(lengths)} videos, of {pairs} in {videos}"
                )
        return splits
