"""REDS, realistic and dynamic scenes."""

from stablevid_tf.data.builders.archive import find
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder, tfds

_REDS4 = ("000", "011", "015", "020")
_MORI = ("000", "001", "006", "017")
# What lies on disk, and where below train_NAME or val_NAME.
_FORMS = {
    "sharp": "",
    "blur": "",
    "blur_comp": "",
    "sharp_bicubic": "X4",
    "blur_bicubic": "X4",
}


class Builder(SequenceBuilder):
    """100 frames of 1280x720 each; degraded ones in pairs with the sharp ones."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed, of https://seungjunnah.github.io/Datasets/reds.html, as they are or
    unpacked: train_sharp.zip and val_sharp.zip, and for the other configs
    train_CONFIG.zip and val_CONFIG.zip. They hold
    train/train_sharp/000/00000000.png ... 00000099.png to 239 (val: to 029);
    the bicubic ones train/train_sharp_bicubic/X4/000/...
    """
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in _FORMS]
    LARGE = True
    COUNTS = {"train": 240, "val": 30}
    FRAMES = 100
    # Papers move four videos about: stored are the four pieces.
    PARTS = {
        "train": "mori_train+reds4",
        "validation": "mori_validation+validation_rest",
    }

    def paired(self):
        return self.builder_config.name != "sharp"

    def scale(self):
        return 4 if "bicubic" in self.builder_config.name else 1

    def sequences(self, root, missing):
        train = self._part(root, "train", missing)
        val = self._part(root, "val", missing)
        return {
            "mori_train": {n: s for n, s in train.items() if n not in _REDS4},
            "reds4": {n: s for n, s in train.items() if n in _REDS4},
            "mori_validation": {n: s for n, s in val.items() if n in _MORI},
            "validation_rest": {n: s for n, s in val.items() if n not in _MORI},
        }

    def _part(self, root, part, missing):
        forms = {"video": "sharp"}
        if self.paired():
            forms["input"] = self.builder_config.name
        archives = {}
        for feature, form in forms.items():
            name = f"{part}_{form}"
            inside = "/".join(filter(None, (name, _FORMS[form])))
            archive = find(root, f"{name}.zip", f"{part}/{inside}", inside)
            if archive is None:
                missing.append(f"{root}/{name}.zip, and no folder {part}/{inside}")
                return {}
            archives[feature] = archive
        frames = [f"{t:08d}.png" for t in range(self.FRAMES)]
        return {
            f"{n:03d}": {
                feature: (archive, [f"{n:03d}/{frame}" for frame in frames])
                for feature, archive in archives.items()
            }
            for n in range(self.COUNTS[part])
        }
