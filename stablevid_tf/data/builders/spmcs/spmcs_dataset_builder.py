"""SPMCS, thirty short test videos."""

from stablevid_tf.data.builders.archive import Archive, find
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder


class Builder(SequenceBuilder):
    """The original frames; small ones are made by a degradation, not read."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed: the test set named in https://github.com/jiangsutx/SPMC_VideoSR, as
    SPMCS.zip or unpacked: 30 folders, in each a folder truth with 31 PNG files, at the
    top or below SPMCS or test_set.
    """
    COUNT, FRAMES = 30, 31

    def sequences(self, root, missing):
        top = find(root, "SPMCS.zip", "SPMCS", "test_set") or Archive(root)
        found = {}
        for name in top.names():
            folder = f"{name}/truth"
            if folder not in top:
                continue
            frames = [n for n in top.names(folder) if n.lower().endswith(".png")]
            if len(frames) != self.FRAMES:
                missing.append(
                    f"{top.where(folder)} holds {len(frames)} PNG files of "
                    f"{self.FRAMES}"
                )
                continue
            found[name] = {"video": (top, [f"{folder}/{n}" for n in frames])}
        if len(found) != self.COUNT:
            missing.append(
                f"{top.where()} holds {len(found)} whole videos of {self.COUNT}, each "
                "a folder with one named truth"
            )
        return {"test": found}
