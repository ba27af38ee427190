"""TfdsClips: clips from built datasets.

Tested: clips are those of ClipDataset on the same frames; pairs cut at the same place
and flipped alike, at scale 1 and 4; batches as functions of (seed, epoch, index); a
function in place of the noise; the cache: used again, taken up where it was broken
off, whole or absent on a full disk; `fit` on it; errors.
Not tested: the builders (data/builders/); noise and flips (test_clip_dataset.py).
"""

import errno
import json
import warnings
from unittest import mock

import archives
import keras
import numpy as np
import pytest
from PIL import Image

from stablevid_tf import data
from stablevid_tf.data.builders.every import BUILDERS
from stablevid_tf.data.builders.making import build

SMALL = {"frames": 2, "size": 4, "batch_size": 3, "steps": 2}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The folder of downloaded videos, and the dataset built from it."""
    folder = tmp_path_factory.mktemp("videos")
    source = archives.videos(validation=0, frames=4).unpacked(folder / "v")
    return source / "train", build("video_folder", source, folder / "built")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A small REDS of sharp and four times smaller frames, which tell their place."""
    folder = tmp_path_factory.mktemp("reds")
    for form in ("sharp", "sharp_bicubic"):
        archives.reds(form, train=21, val=18, frames=3).unpacked(folder / "download")
    # Every small pixel is the upper left one of its sixteen: alignment can be seen.
    for path in (folder / "download").rglob("*_sharp/*/*.png"):
        small = str(path).replace("_sharp/", "_sharp_bicubic/X4/")
        Image.fromarray(np.asarray(Image.open(path))[::4, ::4]).save(small)
    small = {"COUNTS": {"train": 21, "val": 18}, "FRAMES": 3}
    with mock.patch.multiple(BUILDERS["reds"], **small):
        return build("reds/sharp_bicubic", folder / "download", folder / "built")


def test_clips_are_those_of_the_files(videos):
    source, built = videos
    clips = data.TfdsClips(built, **SMALL, seed=3)
    plain = data.ClipDataset(source, **SMALL, seed=3)
    for epoch in (0, 1):
        clips.epoch = plain.epoch = epoch
        for index in range(2):
            for a, b in zip(clips[index], plain[index], strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("flip", [False, True])
def test_pairs_are_aligned(pairs, flip):
    clips = data.TfdsClips(pairs, "train", **SMALL | {"size": 8}, flip=flip)
    assert clips.scale == 4
    small, large = clips[0]
    assert small.shape == (3, 2, 2, 2, 3) and large.shape == (3, 2, 8, 8, 3)
    corners = [large[..., a::4, b::4, :] for a in (0, 3) for b in (0, 3)]
    for one, *seen in zip(small, *corners, strict=True):
        # A flipped clip shows the pixel at the other end of its sixteen.
        equal = [np.array_equal(one, corner) for corner in seen]
        assert sum(equal) == 1 and (flip or equal[0])
    assert small.max() <= 1 and small.dtype == "float32"
    again = data.TfdsClips(pairs, "train", **SMALL | {"size": 8}, flip=flip)
    np.testing.assert_array_equal(again[0][0], small)
    clips.on_epoch_end()
    assert not np.array_equal(clips[0][0], small)


def test_noise_on_a_set_of_pairs(pairs):
    clips = data.TfdsClips(pairs, "reds4", **SMALL, pairs=False, sigma=0)
    noisy, clean = clips[0]
    np.testing.assert_array_equal(noisy, clean)
    assert clips.scale == 1


def test_a_function_takes_the_place_of_the_noise(pairs):
    def degrade(clip, rng):
        return clip[:, ::2, ::2] * np.float32(rng.uniform(0.5, 1))

    clips = data.TfdsClips(pairs, "reds4", **SMALL, degrade=degrade)
    (a, clean), (b, _) = clips[1], clips[1]
    np.testing.assert_array_equal(a, b)
    assert a.shape == (3, 2, 2, 2, 3)
    seen = clean[:, :, ::2, ::2]
    factors = a.sum((1, 2, 3, 4)) / seen.sum((1, 2, 3, 4))
    np.testing.assert_allclose(a, seen * factors[:, None, None, None, None], rtol=1e-5)
    assert len({round(float(f), 4) for f in factors}) == 3


def test_the_cache_is_used_again(videos, tmp_path):
    _, built = videos
    first = data.TfdsClips(built, **SMALL, cache=tmp_path)[0]
    with mock.patch.object(type(built), "as_dataset", side_effect=AssertionError):
        again = data.TfdsClips(built, **SMALL, cache=tmp_path)[0]
    np.testing.assert_array_equal(again[0], first[0])


def test_a_full_disk_keeps_what_is_decoded(videos, tmp_path):
    _, built = videos
    saved = np.save

    def full_after_one(file, frames):
        if list(tmp_path.rglob("*.npy")):
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved(file, frames)

    with (
        mock.patch("numpy.save", full_after_one),
        pytest.raises(OSError, match=r"No space left on device \(\d+ bytes\)"),
    ):
        data.TfdsClips(built, **SMALL, cache=tmp_path)
    (kept,) = (p for p in tmp_path.rglob("*") if p.is_file())
    stamp = kept.stat().st_mtime_ns
    data.TfdsClips(built, **SMALL, cache=tmp_path)
    assert kept.stat().st_mtime_ns == stamp
    (index,) = tmp_path.rglob("video.json")
    assert json.loads(index.read_text()) == ["video0", "video1"]


def test_a_folder_and_a_name_say_the_same(videos):
    _, built = videos
    for source, where in (
        (built.data_path, None),
        ("video_folder", built.data_dir_root),
    ):
        clips = data.TfdsClips(source, data_dir=where, **SMALL)
        np.testing.assert_array_equal(clips[0][1], data.TfdsClips(built, **SMALL)[0][1])


def test_fit(videos):
    _, built = videos
    model = keras.Sequential([keras.layers.Dense(3, kernel_initializer="zeros")])
    model.compile("sgd", "mse", run_eagerly=True)
    history = model.fit(
        data.TfdsClips(built, **SMALL | {"steps": 8}), epochs=2, verbose=0
    )
    loss = history.history["loss"]
    assert loss[1] < loss[0]


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"split": "reds5"}, ValueError, "reds5"),
        ({"size": 6}, ValueError, "size must be a multiple of the scale"),
        ({"frames": 4}, ValueError, "None of 21 videos"),
        ({"pairs": True, "motion": 1.0}, ValueError, "leave degrade and motion out"),
    ],
)
def test_what_does_not_fit(pairs, arguments, error, words):
    with warnings.catch_warnings(), pytest.raises(error, match=words):
        warnings.simplefilter("ignore")
        data.TfdsClips(pairs, **SMALL | {"split": "train"} | arguments)


def test_a_dataset_that_lost_a_file(tmp_path):
    source = archives.videos(frames=2).unpacked(tmp_path / "v")
    built = build("video_folder", source, tmp_path / "built")
    next(built.data_path.glob("*validation*")).unlink()
    words = "is not whole: 1 of 2 files are missing, first video_folder-validation"
    with pytest.raises(FileNotFoundError, match=words):
        data.TfdsClips(built, **SMALL)
    with pytest.raises(FileNotFoundError, match=words):
        build("video_folder", source, tmp_path / "built")


def test_what_is_not_there(videos, tmp_path):
    _, built = videos
    with pytest.raises(LookupError, match="no dataset 'reds5'; there are gopro"):
        data.TfdsClips("reds5")
    with pytest.raises(FileNotFoundError, match="stablevid data build vid4"):
        data.TfdsClips("vid4", data_dir=tmp_path)
    with pytest.raises(ValueError, match="holds no pairs"):
        data.TfdsClips(built, **SMALL, pairs=True)
