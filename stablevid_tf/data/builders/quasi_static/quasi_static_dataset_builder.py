"""The Quasi-Static Video Set, on which recurrent models diverge."""

from stablevid_tf.data.builders.archive import find
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder


class Builder(SequenceBuilder):
    """Four long videos of scenes that barely move."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed: the Quasi-Static Video Set named in https://github.com/bjmch/MRVSR, as
    QuasiStaticVideoSet.zip or unpacked: folders Sequence1 ... Sequence4 of PNG files,
    172 to 379 each, at the top or below QuasiStaticVideoSet.
    """
    # The shortest and the longest, by table III of Mori and Ukita.
    LENGTHS = (172, 379)

    def sequences(self, root, missing):
        found = {}
        for name in (f"Sequence{n}" for n in range(1, 5)):
            archive = find(
                root, "QuasiStaticVideoSet.zip", f"QuasiStaticVideoSet/{name}", name
            )
            if archive is None:
                missing.append(f"{root}/QuasiStaticVideoSet/{name}")
                continue
            frames = [n for n in archive.names() if n.lower().endswith(".png")]
            low, high = self.LENGTHS
            if not low <= len(frames) <= high:
                missing.append(
                    f"{archive.where()} holds {len(frames)} PNG files, not {low} "
                    f"to {high}"
                )
                continue
            found[name] = {"video": (archive, frames)}
        return {"test": found}
