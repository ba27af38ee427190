"""Every builder, by tfds' own test case, on made-up downloads of its layout.

Tested: that tfds accepts each (registration, tags, keys, shapes, splits that do not
overlap, reading again after a reload); the frames that come out against those that
went in, in the order of the set's own lists; zip files as they are; the named sums of
splits; the Apache Beam path, where Beam is installed.
Not tested: the real downloads, which are not to be had; what is wrong with a download
(test_wrong_downloads.py).
"""

import pickle
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import archives
import numpy as np
import pytest
import tensorflow_datasets as tfds

from stablevid_tf.data.builders.archive import Archive
from stablevid_tf.data.builders.every import BUILDERS
from stablevid_tf.data.builders.making import build


class Case:
    """For tfds' test case: a download made in a temporary folder."""

    # What a real set holds, made small: {attribute of the builder: value}.
    SMALL = {}

    @classmethod
    def setUpClass(cls):
        cls.EXAMPLE_DIR = tempfile.mkdtemp()
        cls.patches = [
            mock.patch.object(cls.DATASET_CLASS, name, value)
            for name, value in cls.SMALL.items()
        ]
        for patch in cls.patches:
            patch.start()
        cls.download(Path(cls.EXAMPLE_DIR))
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        for patch in cls.patches:
            patch.stop()
        shutil.rmtree(cls.EXAMPLE_DIR)


SMALL_REDS = {"COUNTS": {"train": 21, "val": 18}, "FRAMES": 2}
SMALL_GOPRO = {"COUNTS": {"train": (3, 6), "test": (2, 4)}}


class Vimeo90kSeptupletTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["vimeo90k_septuplet"]
    SPLITS = {"train": 3, "test": 2}

    @classmethod
    def download(cls, folder):
        archives.vimeo90k().zipped(folder / "vimeo_septuplet.zip")


class RedsTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["reds"]
    SMALL = SMALL_REDS
    SPLITS = {
        "mori_train": 17,
        "reds4": 4,
        "mori_validation": 4,
        "validation_rest": 14,
    }
    BUILDER_CONFIG_NAMES_TO_TEST = ["blur_bicubic"]

    @classmethod
    def download(cls, folder):
        # One set unpacked, the other as it came.
        archives.reds("sharp").unpacked(folder)
        small = archives.reds("blur_bicubic")
        for part in ("train", "val"):
            small.zipped(folder / f"{part}_blur_bicubic.zip", only=f"{part}/")


class GoproTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["gopro"]
    SMALL = SMALL_GOPRO
    SPLITS = {"train": 3, "test": 2}
    BUILDER_CONFIG_NAMES_TO_TEST = ["blur"]

    @classmethod
    def download(cls, folder):
        archives.gopro().unpacked(folder / "GOPRO_Large")


class Vid4Test(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["vid4"]
    SPLITS = {"test": 4}

    @classmethod
    def download(cls, folder):
        archives.vid4().zipped(folder / "Vid4.zip")


class QuasiStaticTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["quasi_static"]
    SMALL = {"LENGTHS": (2, 3)}
    SPLITS = {"test": 4}

    @classmethod
    def download(cls, folder):
        archives.quasi_static().unpacked(folder)


class SpmcsTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["spmcs"]
    SMALL = {"COUNT": 3}
    SPLITS = {"test": 3}

    @classmethod
    def download(cls, folder):
        archives.spmcs().zipped(folder / "SPMCS.zip")


class VimeoLongTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["vimeo_long"]
    SMALL = {"COUNTS": {"train": 2, "validation": 1}}
    SPLITS = {"train": 2, "validation": 1}

    @classmethod
    def download(cls, folder):
        archives.videos().unpacked(folder)


class VideoFolderTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = BUILDERS["video_folder"]
    SPLITS = {"train": 2, "validation": 1}

    @classmethod
    def download(cls, folder):
        archives.videos().unpacked(folder)


def test_every_builder_has_its_case():
    cases = {case.DATASET_CLASS.name for case in Case.__subclasses__()}
    assert cases == set(BUILDERS)


def read(made, split):
    """The examples of a split, as NumPy arrays."""
    return list(tfds.as_numpy(made.as_dataset(split)))


def test_frames_come_out_as_they_went_in_and_in_the_lists_order(tmp_path):
    download = archives.vimeo90k()
    source = download.unpacked(tmp_path / "download")
    made = build("vimeo90k_septuplet", source, tmp_path / "built")
    for split, names in (
        ("train", ["00002/0001", "00001/0002", "00001/0001"]),
        ("test[:1]", ["00003/0001"]),
    ):
        examples = read(made, split)
        assert [e["id"].decode() for e in examples] == names
        for example, name in zip(examples, names, strict=True):
            frames = [
                download.images[f"vimeo_septuplet/sequences/{name}/im{t}.png"]
                for t in range(1, 8)
            ]
            np.testing.assert_array_equal(example["video"], frames)


@pytest.mark.parametrize("config", ["blur"])
def test_pairs_of_reds_and_its_named_splits(tmp_path, config):
    sharp, other = archives.reds("sharp"), archives.reds(config)
    for download in (sharp, other):
        download.unpacked(tmp_path / "download")
    with mock.patch.multiple(BUILDERS["reds"], **SMALL_REDS):
        made = build(f"reds/{config}", tmp_path / "download", tmp_path / "built")
    splits = {s: [e["id"].decode() for e in read(made, s)] for s in made.info.splits}
    assert splits["reds4"] == ["000", "011", "015", "020"]
    assert splits["mori_validation"] == ["000", "001", "006", "017"]
    assert not set(splits["mori_train"]) & set(splits["reds4"])
    assert len(read(made, "train")) == 21 and len(read(made, "validation")) == 18
    below = f"{config}/X4" if "bicubic" in config else config
    for example in read(made, "reds4"):
        for t in range(2):
            file = f"{example['id'].decode()}/{t:08d}.png"
            np.testing.assert_array_equal(
                example["video"][t], sharp.images[f"train/train_sharp/{file}"]
            )
            np.testing.assert_array_equal(
                example["input"][t], other.images[f"train/train_{below}/{file}"]
            )


def test_pairs_of_gopro(tmp_path):
    download = archives.gopro()
    download.zipped(tmp_path / "GOPRO_Large.zip")
    with mock.patch.multiple(BUILDERS["gopro"], **SMALL_GOPRO):
        made = build("gopro/blur_gamma", tmp_path, tmp_path / "built")
    for example in read(made, "test"):
        top = f"test/{example['id'].decode()}"
        for feature, kind in (("video", "sharp"), ("input", "blur_gamma")):
            frames = [download.images[f"{top}/{kind}/0000{t}.png"] for t in (47, 48)]
            np.testing.assert_array_equal(example[feature], frames)


def test_frames_stand_in_natural_order(tmp_path):
    download = archives.quasi_static()
    source = download.unpacked(tmp_path / "download")
    with mock.patch.object(BUILDERS["quasi_static"], "LENGTHS", (3, 3)):
        made = build("quasi_static", source, tmp_path / "built")
    frames = [
        download.images[f"QuasiStaticVideoSet/Sequence2/im{t}.png"] for t in (9, 10, 11)
    ]
    np.testing.assert_array_equal(read(made, "test")[1]["video"], frames)


def test_an_archive_can_be_sent_to_another_process(tmp_path):
    source = archives.gopro().zipped(tmp_path / "GOPRO_Large.zip")
    archive = Archive(source).within("test")
    sent = pickle.loads(pickle.dumps(archive))
    name = "GOPR0001_11_00/sharp/000047.png"
    assert sent.names() == archive.names() == ["GOPR0000_11_00", "GOPR0001_11_00"]
    assert name in sent and sent.read(name) == archive.read(name)
    # It is opened once, however many sequences are sent.
    assert pickle.loads(pickle.dumps(archive)) is sent


@pytest.mark.parametrize("name", ["vimeo90k_septuplet", "reds/blur"])
def test_beam_builds_the_same(tmp_path, name):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    if name == "reds/blur":
        for form in ("sharp", "blur"):
            archives.reds(form).unpacked(tmp_path / "download")
    else:
        archives.vimeo90k().unpacked(tmp_path / "download")
    built = []
    with mock.patch.multiple(BUILDERS["reds"], **SMALL_REDS):
        for folder, options in (("plain", None), ("beam", ["--runner=DirectRunner"])):
            source, target = tmp_path / "download", tmp_path / folder
            built.append(build(name, source, target, beam_options=options))
    assert set(built[0].info.splits) == set(built[1].info.splits)
    for split in built[0].info.splits:
        for a, b in zip(*(read(made, split) for made in built), strict=True):
            assert a["id"] == b["id"]
            np.testing.assert_array_equal(a["video"], b["video"])
