import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from stablevid_tf.data.builders.making import builder as builder_of
from stablevid_tf.data.builders.making import check_whole
from stablevid_tf.data.builders.sequence_builder import tfds
from stablevid_tf.data.clip_dataset import ClipDataset, keep


class TfdsClips(ClipDataset):
    """Random clips from a dataset that tfds built, for ``model.fit``.

    As :class:`~stablevid_tf.data.ClipDataset`, of which it differs in what it reads: a
    built dataset with whole sequences as ``video`` (see ``data.builders``). Where the
    dataset holds pairs, an item is ``(input, video)`` cut at the same place and
    flipped alike; otherwise ``(degraded, video)``, by noise or by ``degrade``.

    Frames are decoded once, into the cache: 3 bytes a pixel, so 155 GB for
    Vimeo-90k and 66 GB for the sharp frames of REDS. Decoding is taken up again where
    it was broken off.

    Args:
        source: the name of a dataset, such as ``"reds/blur"``; a folder of a built one,
            such as ``"datasets/reds/blur/1.0.0"``; or a tfds builder.
        split: the split, such as ``"train"``, ``"train+reds4"`` or ``"test[:1024]"``.
        data_dir: where datasets called by name were built; tfds' own folder by default.
        pairs: whether to give the dataset's own pairs; by default, if it has them and
            there is neither ``degrade`` nor ``motion``.
        **kwargs: the arguments of ``ClipDataset``. ``size`` is the side of the crops
            of ``video``; those of a smaller ``input`` are in proportion.

    Items:
        As ``ClipDataset``; an ``input`` of pairs [batch_size, frames, size / scale,
        size / scale, C] in [0, 1].

    Raises:
        LookupError: no dataset of this name.
        FileNotFoundError: it is not built.
        ValueError: no sequence is long and large enough, or an argument does not fit.

    Example:
        >>> from stablevid_tf import data
        >>> clips = data.TfdsClips("reds/blur", "mori_train")    # doctest: +SKIP
        >>> model.fit(clips, epochs=10)                          # doctest: +SKIP
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | tfds.core.DatasetBuilder,
        split: str = "train",
        data_dir: str | os.PathLike[str] | None = None,
        pairs: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self._split, self._data_dir = split, data_dir
        other = kwargs.get("degrade") or kwargs.get("motion") is not None
        if pairs and other:
            raise ValueError(
                "The dataset's own pairs are given as they are: leave degrade and "
                "motion out, or say pairs=False"
            )
        self._pairs = False if pairs is None and other else pairs
        self._inputs, self.scale = None, 1
        super().__init__(source, **kwargs)

    def _open(self, source, cache):
        made = _built(source, self._data_dir)
        if "video" not in made.info.features:
            raise ValueError(
                f"{made.info.full_name} has no feature 'video'. Received: "
                f"{', '.join(made.info.features)}"
            )
        if self._pairs is None:
            self._pairs = "input" in made.info.features
        elif self._pairs and "input" not in made.info.features:
            raise ValueError(
                f"{made.info.full_name} holds no pairs: no feature 'input'"
            )
        features = ["video", "input"] if self._pairs else ["video"]
        names, videos, *inputs = _decoded(made, self._split, features, cache)
        large = self._large_enough(names, videos)
        if self._pairs:
            self._inputs = [inputs[0][place] for place in large]
            scales = {
                videos[place].shape[1] // inputs[0][place].shape[1] for place in large
            }
            (self.scale,) = scales if len(scales) == 1 else (0,)
            if not self.scale or self.size % self.scale:
                raise ValueError(
                    f"size must be a multiple of the scale, and the scale be one. "
                    f"Received: size={self.size}, scales {sorted(scales)}"
                )
        return [names[place] for place in large], [videos[place] for place in large]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not self._pairs:
            return super().__getitem__(index)
        random = np.random.default_rng([self.seed, self.epoch, index])
        chosen = random.choice(len(self._videos), self.batch_size, p=self._share)
        pairs = [self._pair(self._inputs[v], self._videos[v], random) for v in chosen]
        degraded, clean = map(self._floating, zip(*pairs, strict=True))
        return degraded, clean

    def _pair(self, small, large, random):
        """The same clip of both, the place drawn on the smaller one's pixels."""
        length, height, width, _ = small.shape
        side = self.size // self.scale
        t = random.integers(length - self.frames + 1)
        y = random.integers(height - side + 1)
        x = random.integers(width - side + 1)
        up, left = 1 - 2 * random.integers(2, size=2) if self.flip else (1, 1)
        return [
            video[t : t + self.frames, s * y : s * (y + side), s * x : s * (x + side)][
                :, ::up, ::left
            ]
            for video, s in ((small, 1), (large, self.scale))
        ]


def _built(source, data_dir):
    """The builder of a dataset that is built."""
    if not isinstance(source, (str, os.PathLike)):
        made = source
    elif Path(source, "dataset_info.json").is_file():
        made = tfds.builder_from_directory(source)
    else:
        made = builder_of(str(source), data_dir)
    if not Path(made.data_path).exists():
        raise FileNotFoundError(
            f"{made.info.full_name} is not built, there is no {made.data_path}: run "
            f"stablevid data build {made.info.full_name.rpartition('/')[0]} "
            f"--manual-dir DIR --data-dir {made.data_dir_root}"
        )
    check_whole(made)
    return made


def _decoded(made, split, features, cache):
    """The sequences' names, and memory maps of the frames of each feature."""
    stamp = (Path(made.data_path) / "dataset_info.json").stat().st_mtime_ns
    what = repr((str(made.data_path), stamp, split))
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    folder = cache / f"{made.name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / f"{'-'.join(features)}.json"
    if not index.exists():
        names = _decode(made, split, features, folder)
        partial = index.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(names))
        os.replace(partial, index)
    names = json.loads(index.read_text())
    return names, *(
        [np.load(_path(folder, n, f), mmap_mode="r") for n in range(len(names))]
        for f in features
    )


def _decode(made, split, features, folder):
    examples = made.as_dataset(
        split,
        decoders={feature: tfds.decode.SkipDecoding() for feature in features},
        # An example may be hundreds of megabytes: one at a time.
        read_config=tfds.ReadConfig(skip_prefetch=True, try_autocache=False),
    )
    names = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, example in enumerate(examples):
            for feature in features:
                path = _path(folder, number, feature)
                if not path.exists():
                    keep(path, np.stack(list(pool.map(_frame, example[feature]))))
            names.append(example["id"].numpy().decode())
    return names


def _path(folder, number, feature):
    return folder / f"{number:06d}-{feature}.npy"


def _frame(data):
    return tf.io.decode_image(data, channels=3, expand_animations=False).numpy()
