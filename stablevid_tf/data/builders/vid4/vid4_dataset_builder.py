"""Vid4, four short test videos."""

from stablevid_tf.data.builders.archive import find
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder


class Builder(SequenceBuilder):
    """The original frames; small ones are made by a degradation, not read."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needed: the original frames of Vid4, as Vid4.zip or a folder, in folders calendar
    (41 PNG files, 720x576), city (34, 704x576), foliage (49, 720x480) and walk (47,
    720x480), at the top or below GT, Vid4 or Vid4/GT.
    """
    FRAMES = {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}

    def sequences(self, root, missing):
        found = {}
        for name, frames in self.FRAMES.items():
            places = (f"{top}{name}" for top in ("", "GT/", "Vid4/", "Vid4/GT/"))
            archive = find(root, "Vid4.zip", *places)
            if archive is None:
                missing.append(f"{root}/{name}")
                continue
            pictures = [n for n in archive.names() if n.lower().endswith(".png")]
            if len(pictures) != frames:
                missing.append(
                    f"{archive.where()} holds {len(pictures)} PNG files of {frames}"
                )
                continue
            found[name] = {"video": (archive, pictures)}
        return {"test": found}
