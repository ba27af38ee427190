"""What is wrong with a download, a user's videos, or a disk.

Tested: absent, empty, partial and damaged downloads: what is missing and where, all of
it counted; partial builds; pictures of other kinds (grey, 16 bits, palette, odd
sizes); videos that are left out; an archive cut short; a full disk; a second build in
one folder, a killed one, one from another folder, one after changes; that nothing built
is lost.
Not tested: what a whole download gives (test_builders.py).
"""

import multiprocessing
import resource
import warnings
from pathlib import Path
from unittest import mock

import archives
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from stablevid_tf.data import ImageWriter, open_video
from stablevid_tf.data.builders import making
from stablevid_tf.data.builders.every import BUILDERS
from stablevid_tf.data.builders.making import build

SHARED = Path(__file__).parents[4] / "shared" / "data"


def files(folder):
    return sorted(
        str(p.relative_to(folder))
        for p in Path(folder).rglob("*")
        if p.is_file() and p.name != ".lock" and p.parent.name != ".config"
    )


@pytest.fixture
def vimeo(tmp_path):
    return archives.vimeo90k().unpacked(tmp_path / "download")


def refused(tmp_path, name, source, words, error=ValueError, **arguments):
    """That a build fails, says this, and leaves nothing."""
    with pytest.raises(error, match=words) as found:
        build(name, source, tmp_path / "built", **arguments)
    assert files(tmp_path / "built") == []
    return str(found.value)


def test_no_folder_an_empty_one_and_another(tmp_path):
    (tmp_path / "empty").mkdir()
    for source, words in (("none", "no such folder. Need"), ("empty", "an empty fol")):
        with pytest.raises(FileNotFoundError, match=words):
            build("gopro/blur", tmp_path / source, tmp_path / "built")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    for name, words in (
        ("vimeo90k_septuplet", "vimeo_septuplet.zip, and no folder sequences"),
        ("reds/blur_comp", "no folder train/train_sharp; .*no folder val/val_sharp"),
        ("gopro/blur", "GOPRO_Large.zip, and no folder train"),
        ("vid4", "4 things are missing or damaged: .*calendar; .*city"),
        ("quasi_static", "QuasiStaticVideoSet/Sequence1"),
        ("spmcs", "holds 0 whole videos of 30"),
        ("vimeo_long", "train: there is no such file or folder"),
        ("video_folder", "no video file"),
    ):
        said = refused(tmp_path, name, tmp_path / "other", words)
        assert "Needed: " in said or "Needed, of" in said


def test_what_is_missing_is_counted_and_named(tmp_path, vimeo):
    top = vimeo / "vimeo_septuplet"
    (top / "sequences/00001/0001/im3.png").unlink()
    (top / "sequences/00001/0001/im4.png").unlink()
    (top / "sequences/00003/0001/im7.png").unlink()
    said = refused(
        tmp_path, "vimeo90k_septuplet", vimeo, "2 things are missing or damaged"
    )
    assert f"{top}/sequences/00001/0001/im3.png (2 of 7 pictures)" in said
    assert f"{top}/sequences/00003/0001/im7.png (1 of 7 pictures)" in said
    with pytest.warns(UserWarning, match="built in part; 2 things are missing"):
        made = build("vimeo90k_septuplet", vimeo, tmp_path / "built", partial=True)
    assert [i.num_examples for i in made.info.splits.values()] == [2, 1]
    # A whole one is another dataset: it does not pass for it.
    archives.vimeo90k().unpacked(vimeo)
    with pytest.raises(FileExistsError, match="was built in part"):
        build("vimeo90k_septuplet", vimeo, tmp_path / "built")


def test_a_list_that_is_missing(tmp_path, vimeo):
    (vimeo / "vimeo_septuplet" / "sep_testlist.txt").unlink()
    refused(tmp_path, "vimeo90k_septuplet", vimeo, "vimeo_septuplet/sep_testlist.txt")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _no_picture(path):
    path.write_bytes(b"<html>Too many requests</html>")


def _other_size(path):
    Image.new("RGB", (11, 5)).save(path)


@pytest.mark.parametrize(
    "harm, words",
    [
        (_cut, "im4.png: a damaged picture"),
        (_flip, "im4.png: a damaged picture"),
        (_no_picture, "im4.png: a damaged picture"),
        (_other_size, "im4.png has 11x5 pixels, the pictures before it 10x6"),
    ],
)
def test_a_bad_picture_in_the_middle(tmp_path, vimeo, harm, words):
    harm(vimeo / "vimeo_septuplet/sequences/00001/0002/im4.png")
    refused(tmp_path, "vimeo90k_septuplet", vimeo, words)


def test_deep_pictures_of_a_set_are_counted(tmp_path, random):
    for name, frames in {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}.items():
        for t in range(frames):
            kind = "uint16" if name in ("city", "walk") else "uint8"
            save(tmp_path / f"d/{name}/{t:02d}.png", np.full((4, 6), 7, kind))
    with pytest.warns(UserWarning, match="2 sequences lose something: city: 16 bits"):
        build("vid4", tmp_path / "d", tmp_path / "built")


def test_an_archive_cut_short_and_a_damaged_one(tmp_path):
    whole = archives.vimeo90k().zipped(tmp_path / "whole.zip").read_bytes()
    source = tmp_path / "download"
    source.mkdir()
    (source / "vimeo_septuplet.zip").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, "vimeo90k_septuplet", source, "not a whole zip file")
    at = whole.index(b"im5.png") + 200
    harmed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    (source / "vimeo_septuplet.zip").write_bytes(harmed)
    refused(tmp_path, "vimeo90k_septuplet", source, "im5.png.*CRC")


def test_pairs_that_do_not_match(tmp_path):
    source = archives.gopro().unpacked(tmp_path / "download")
    (source / "train/GOPR0001_11_00/blur/000048.png").unlink()
    Image.new("RGB", (5, 3)).save(source / "test/GOPR0001_11_00/blur/000047.png")
    Image.new("RGB", (5, 3)).save(source / "test/GOPR0001_11_00/blur/000048.png")
    (source / "test" / ".DS_Store").write_bytes(b"")
    small = {"train": (3, 6), "test": (2, 4)}
    with mock.patch.object(BUILDERS["gopro"], "COUNTS", small):
        said = refused(tmp_path, "gopro/blur", source, "2 things are missing")
    assert "GOPR0001_11_00/blur/000048.png (1 of 2 pictures)" in said
    assert "(3, 5) pixels do not fit (6, 10)" in said
    # The real counts.
    assert "holds 6 sharp frames in 3 videos, of 2103 in 22" in refused(
        tmp_path, "gopro/blur", source, "missing"
    )


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def test_pictures_of_other_kinds(tmp_path, random):
    """Grey, palette and 16-bit pictures, JPEG, odd sizes: stored as RGB of 8 bits."""
    grey = random.integers(0, 256, (7, 9), "uint8")
    save(tmp_path / "v/grey/0.png", grey)
    deep = random.integers(0, 65536, (7, 9), "uint16")
    save(tmp_path / "v/deep/0.png", deep)
    palette = Image.fromarray(grey).convert("RGB").quantize(16)
    (tmp_path / "v/palette").mkdir()
    palette.save(tmp_path / "v/palette/0.png")
    flat = np.full((7, 9, 3), (200, 60, 90), "uint8")
    save(tmp_path / "v/jpeg/0.jpg", flat)
    with pytest.warns(UserWarning, match=r"deep.*16 bits become 8"):
        made = build("video_folder", tmp_path / "v", tmp_path / "built")
    found = {
        e["id"].decode(): e["video"] for e in tfds.as_numpy(made.as_dataset("train"))
    }
    assert all(v.shape == (1, 7, 9, 3) for v in found.values())
    np.testing.assert_array_equal(found["grey"][0], np.repeat(grey[..., None], 3, -1))
    np.testing.assert_array_equal(
        found["palette"][0], np.asarray(palette.convert("RGB"))
    )
    # FFmpeg divides by 256, not by 257, and rounds: up to 1 and 1/2 of 255.
    assert np.abs(found["deep"][0, ..., 0] - deep / 257.0).max() <= 1.5
    # A flat JPEG: two steps for its own rounding.
    assert np.abs(found["jpeg"][0].astype(int) - flat).max() <= 2


def test_videos_that_cannot_be_read_are_left_out_and_counted(tmp_path):
    source = archives.videos(validation=0).unpacked(tmp_path / "v") / "train"
    _cut(source / "video1" / "001.png")
    (source / "broken.mp4").write_bytes(b"no video" * 100)
    (source / "mixed").mkdir()
    for t, side in enumerate((4, 5)):
        save(source / f"mixed/{t}.png", np.zeros((side, 4, 3), "uint8"))
    (source / "nothing").mkdir()
    with pytest.warns(
        UserWarning, match=r"3 of 4 videos are left out.*First: .*broken"
    ):
        made = build("video_folder", source, tmp_path / "built")
    (example,) = tfds.as_numpy(made.as_dataset("train"))
    assert example["id"] == b"video0" and made.info.metadata["left_out"] == 3


def test_no_video_is_left(tmp_path):
    source = tmp_path / "v"
    source.mkdir()
    (source / "broken.mp4").write_bytes(b"no video" * 100)
    words = "1 of 1 videos are left out"
    refused(tmp_path, "video_folder", source, words)


def test_a_long_video_becomes_several_examples(tmp_path, monkeypatch):
    download = archives.videos(train=1, validation=0, frames=5)
    source = download.unpacked(tmp_path / "v")
    size = len(download.files["train/video0/000.png"])
    monkeypatch.setattr(
        "stablevid_tf.data.builders.video_builder._LONGEST", int(2.5 * size)
    )
    made = build("video_folder", source, tmp_path / "built")
    examples = list(tfds.as_numpy(made.as_dataset("train")))
    assert [e["id"] for e in examples] == [b"video0", b"video0@2", b"video0@4"]
    np.testing.assert_array_equal(
        np.concatenate([e["video"] for e in examples]),
        [download.images[f"train/video0/{t:03d}.png"] for t in range(5)],
    )


@pytest.mark.parametrize("memory", [0, 2**30])
def test_a_full_disk_leaves_what_was_built(tmp_path, random, memory, monkeypatch):
    """Files of more than 1 MiB cannot be written for a while: first tfds' own, when it
    has no memory to gather examples in; else TensorFlow's records."""
    monkeypatch.setattr("tensorflow_datasets.core.shuffle.MAX_MEM_BUFFER_SIZE", memory)
    other = archives.videos().unpacked(tmp_path / "small")
    for n in range(2):
        image = random.integers(0, 256, (600, 400, 3), "uint8")
        save(tmp_path / "large" / f"v{n}" / "0.png", image)
        save(tmp_path / "large" / f"v{n}" / "1.png", image)
    build("video_folder", other, tmp_path / "built")
    before = files(tmp_path / "built")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(OSError, match=r"could not be written: .*[Ff]ile too large"):
            build("video_folder", tmp_path / "large", tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert files(tmp_path / "built") == before and files(tmp_path / "full") == []
    made = build("video_folder", tmp_path / "large", tmp_path / "full")
    assert made.info.splits["train"].num_examples == 2


def _hold(target, ready, done):
    with making._alone(target):
        ready.set()
        done.wait(60)


def test_two_builds_in_one_folder(tmp_path, vimeo):
    target = tmp_path / "built" / "vimeo90k_septuplet" / "1.0.0"
    fork = multiprocessing.get_context("fork")
    ready, done = fork.Event(), fork.Event()
    other = fork.Process(target=_hold, args=(target, ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(FileExistsError, match="another process is building it"):
            build("vimeo90k_septuplet", vimeo, tmp_path / "built")
    finally:
        done.set()
        other.join()
    # What a killed build left goes, and does not stand in the way.
    half = target.with_name("incomplete.ABCDEF_1.0.0")
    half.mkdir()
    (half / "vimeo90k_septuplet-train.tfrecord").write_bytes(b"half")
    build("vimeo90k_septuplet", vimeo, tmp_path / "built")
    assert not half.exists() and target.exists()


def test_what_is_there_is_used_again_unless_the_source_changed(tmp_path):
    source = archives.videos().unpacked(tmp_path / "v")
    build("video_folder", source, tmp_path / "built")
    built = tmp_path / "built"
    stamps = [(built / name).stat().st_mtime_ns for name in files(built)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        build("video_folder", source, built)
    assert stamps == [(built / name).stat().st_mtime_ns for name in files(built)]
    other = archives.videos().unpacked(tmp_path / "w")
    with pytest.raises(FileExistsError, match=f"was built from {source}, not from"):
        build("video_folder", other, tmp_path / "built")
    with ImageWriter(source / "train" / "more") as out:
        out.write(np.zeros((4, 4, 3)), 0)
    with pytest.raises(FileExistsError, match=r"was built before .* changed"):
        build("video_folder", source, tmp_path / "built")


def test_unknown_names(tmp_path):
    with pytest.raises(LookupError, match="no dataset 'red'; there are gopro"):
        build("red", tmp_path)
    with pytest.raises(LookupError, match="reds has sharp, blur, blur_comp"):
        build("reds/gamma", tmp_path)
    with pytest.raises(LookupError, match="vid4 has no configs"):
        build("vid4/gamma", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="vid4 is small: it is built without Beam"):
        build("vid4", tmp_path, beam_options=["--runner=DirectRunner"])


@pytest.mark.skipif(not SHARED.exists(), reason="no real footage beside the checkout")
def test_real_vid4_is_partial(tmp_path):
    source = SHARED / "eval" / "vid4"
    words = "2 things are missing or damaged: .*foliage; .*walk"
    refused(tmp_path, "vid4", source, words)
    with pytest.warns(UserWarning, match="vid4/1.0.0 is built in part"):
        made = build("vid4", source, tmp_path / "built", partial=True)
    for example in tfds.as_numpy(made.as_dataset("test")):
        name = example["id"].decode()
        frames = sorted((source / name).glob("*.png"))
        assert (
            len(example["video"]) == len(frames) == {"calendar": 41, "city": 34}[name]
        )
        for frame, path in zip(example["video"][::20], frames[::20], strict=True):
            np.testing.assert_array_equal(frame, Image.open(path).convert("RGB"))


@pytest.mark.skipif(not SHARED.exists(), reason="no real footage beside the checkout")
def test_real_videos(tmp_path):
    source = tmp_path / "v"
    source.mkdir()
    for name in ("bbb_shot005.mp4", "bbb_shot015.mp4"):
        (source / name).symlink_to(SHARED / "eval" / name)
    made = build("video_folder", source, tmp_path / "built")
    for example in tfds.as_numpy(made.as_dataset("train")):
        with open_video(SHARED / "eval" / example["id"].decode()) as video:
            frames = [frame.image for frame in video]
        np.testing.assert_array_equal(example["video"], frames)
