"""Vimeo-90k, the septuplets."""

from stablevid_tf.data.builders.archive import find
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder

_ZIP = "vimeo_septuplet.zip"
_LISTS = {"train": "sep_trainlist.txt", "test": "sep_testlist.txt"}


class Builder(SequenceBuilder):
    """Seven frames of 448x256 each, in the two official lists."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed: vimeo_septuplet.zip (82 GB, "The original training + test set") of
    http://toflow.csail.mit.edu, as it is or unpacked. It holds
    vimeo_septuplet/sep_trainlist.txt, sep_testlist.txt and
    sequences/00001/0001/im1.png ... im7.png.
    """
    LARGE = True

    def sequences(self, root, missing):
        top = find(root, _ZIP, "vimeo_septuplet", "", holds="sequences")
        if top is None:
            missing.append(f"{root}/{_ZIP}, and no folder sequences")
            return {}
        splits = {}
        for split, listed in _LISTS.items():
            if listed not in top:
                missing.append(top.where(listed))
                continue
            names = top.read(listed).decode().split()
            splits[split] = {
                name: {
                    "video": (
                        top,
                        [f"sequences/{name}/im{t}.png" for t in range(1, 8)],
                    )
                }
                for name in names
            }
        return splits
