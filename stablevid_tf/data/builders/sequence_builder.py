import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stablevid_tf.data.builders.picture import picture

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise ImportError(
        "Datasets need the packages of the extra `tfds`: "
        "pip install 'stablevid-tf[tfds]'"
    ) from error

_SHOWN = 3


class SequenceBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the builders share: sequences of pictures, looked over before written.

    An example is one whole sequence: ``id`` (text), ``video`` (the frames as they
    should be, [T, H, W, 3] uint8, kept as PNG files) and, where a set holds pairs,
    ``input`` (the degraded frames, as many). Examples stand in the order of the set's
    own list, so that ``test[:1024]`` are its first 1024.

    Before anything is written, every picture is looked for, read, and its checksum
    and size compared: one error names what is missing or damaged, and where.

    Attributes:
        partial: set it to build what is there of an incomplete set; what is left out
            is counted and said.
        PARTS: names for sums of the stored splits, such as the official one of which
            a paper took four videos away.
    """

    VERSION = tfds.core.Version("1.0.0")
    PARTS = {}
    # A large set: may be built by Apache Beam.
    LARGE = False
    partial = False
    _beam = False

    def sequences(
        self, root: Path, missing: list[str]
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """What the set is made of.

        Args:
            root: the folder of what was downloaded.
            missing: a list, to which what a whole set would hold is added in words.

        Returns:
            ``{split: {id: {"video": (archive, names), "input": ...}}}``.
        """
        raise NotImplementedError

    def scale(self) -> int:
        """How many times larger ``video`` is than ``input``."""
        return 1

    def paired(self) -> bool:
        """Whether there is an ``input``."""
        return False

    def stamps(self, root: Path) -> list:
        """What tells that the files below ``root`` are others than they were."""
        return []

    def as_dataset(self, split: Any = None, **kwargs: Any) -> Any:
        if isinstance(split, str):
            split = self.PARTS.get(split, split)
        return super().as_dataset(split, **kwargs)

    def download_and_prepare(
        self, *, download_config: Any = None, **kwargs: Any
    ) -> None:
        asked = download_config and (
            download_config.beam_runner or download_config.beam_options
        )
        self._beam = self.LARGE and bool(asked)
        super().download_and_prepare(download_config=download_config, **kwargs)

    def _info(self):
        features = {"id": tfds.features.Text()}
        for name in ("video", "input") if self.paired() else ("video",):
            features[name] = tfds.features.Video(shape=(None, None, None, 3))
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("input", "video") if self.paired() else None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        root = Path(dl_manager.manual_dir)
        missing = []
        splits = self.sequences(root, missing)
        self._look_over(splits, missing)
        splits = {split: found for split, found in splits.items() if found}
        self._insist(root, splits, missing)
        return {
            split: self._generate_examples(found) for split, found in splits.items()
        }

    def _generate_examples(self, sequences):
        items = list(enumerate(sequences.items()))
        if not self._beam:
            return map(_example, items)
        import apache_beam as beam

        return beam.Create(items) | beam.Reshuffle() | beam.Map(_example)

    def _insist(self, root, splits, missing):
        """An error for what is missing, or a warning if a part will do."""
        name = self.info.full_name
        told = f"{len(missing)} things are missing or damaged: {_first(missing)}"
        if not splits or (missing and not self.partial):
            needed = " ".join(self.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
            hint = "What is there can be built with partial. " if splits else ""
            raise ValueError(f"{root} does not hold {name}; {told}. {hint}{needed}")
        if missing:
            warnings.warn(f"{name} is built in part; {told}", stacklevel=3)
        self.info.metadata.update(
            source=str(root.resolve()),
            stamps=self.stamps(root),
            partial=bool(missing),
            left_out=len(missing),
        )

    def _look_over(self, splits, missing):
        """Reads every picture; sequences that are not whole go from ``splits``."""
        losses = []
        with ThreadPoolExecutor() as pool:
            for found in splits.values():
                looked = pool.map(self._fault, found.values())
                for (name, _), (fault, lost) in zip(
                    list(found.items()), looked, strict=True
                ):
                    if fault:
                        missing.append(fault)
                        del found[name]
                    if lost:
                        losses.append(f"{name}: {lost}")
        if losses:
            count = f"{len(losses)} sequences lose something"
            warnings.warn(f"{count}: {_first(losses)}", stacklevel=3)

    def _fault(self, sequence):
        """What is wrong with a sequence, in words, and what it loses."""
        sizes, lengths, lost = {}, {}, None
        for feature, (archive, names) in sequence.items():
            lengths[feature] = len(names)
            if not names:
                return f"{archive.where()} holds no pictures", None
            absent = [name for name in names if name not in archive]
            if absent:
                first = archive.where(absent[0])
                return f"{first} ({len(absent)} of {len(names)} pictures)", None
            for name in names:
                try:
                    place = archive.where(name)
                    _, size, loss = picture(archive.read(name), place)
                except OSError as error:
                    return str(error), None
                lost = lost or loss
                if sizes.setdefault(feature, size) != size:
                    return (
                        f"{place} has {size[1]}x{size[0]} pixels, the pictures before "
                        f"it {sizes[feature][1]}x{sizes[feature][0]}"
                    ), None
        if len(set(lengths.values())) > 1:
            return f"{archive.where()}: not in pairs, {lengths}", None
        expected = tuple(self.scale() * side for side in sizes.get("input", ()))
        if expected and expected != sizes["video"]:
            return (
                f"{archive.where()}: {sizes['input']} pixels do not fit "
                f"{sizes['video']}, {self.scale()} times as large"
            ), None
        return None, lost


def _example(item):
    """The key and the features of one sequence."""
    index, (name, sequence) = item
    example = {
        feature: [picture(archive.read(n), archive.where(n))[0] for n in names]
        for feature, (archive, names) in sequence.items()
    }
    return index, {"id": name, **example}


def _first(things):
    shown = "; ".join(itertools.islice(things, _SHOWN))
    return shown + ("; ..." if len(things) > _SHOWN else "")
