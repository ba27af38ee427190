"""Tested: names in place of models; when a noise level is measured and when not; parts
of a video; the expected time."""

import numpy as np
import pytest

from stablevid_tf import data, models, zoo
from stablevid_tf.data.images_writer import ImageWriter
from stablevid_tf.data.video import open_video
from stablevid_tf.streaming import restore_file
from stablevid_tf.streaming.expected_time import expected_time, timed
from stablevid_tf.streaming.part import part
from stablevid_tf.streaming.video_noise import lacks_level, measured_noise, takes_level

MAP = "vresnet_feat_srnc_map"


@pytest.fixture
def source(tmp_path):
    """Four frames with noise of about 12 of 255."""
    random = np.random.default_rng(0)
    with ImageWriter(tmp_path / "in") as out:
        for t in range(4):
            noise = random.normal(size=(48, 48, 3)) * 12 / 255
            out.write(0.5 + noise, t)
    return tmp_path / "in"


def images(path):
    with open_video(path) as video:
        return np.stack([frame.image for frame in video])


def run(tmp_path, source, model, **options):
    target = tmp_path / "out"
    restore_file(model, source, target, overwrite=True, progress=False, **options)
    return images(target)


def test_a_name_is_loaded(tmp_path, source):
    by_name = run(tmp_path, source, "tiny", precision="float32")
    np.testing.assert_array_equal(by_name, run(tmp_path, source, zoo.load("tiny")))
    assert by_name.shape == (4, 48, 48, 3)
    # By itself a name takes the precision that the command takes.
    close = run(tmp_path, source, "tiny").astype(int) - by_name
    assert np.abs(close).max() <= 3
    with pytest.raises(ValueError, match="'tiny'"):
        run(tmp_path, source, "tinny")


def test_an_entry_with_a_noise_map_measures(tmp_path, source, capsys):
    model = zoo.load(MAP)
    level = measured_noise(source)
    assert 9 < level < 15
    truth = run(tmp_path, source, models.at_noise_level(model, level))
    np.testing.assert_array_equal(run(tmp_path, source, model), truth)
    np.testing.assert_array_equal(
        run(tmp_path, source, MAP, precision="float32"), truth
    )
    assert capsys.readouterr().err == ""
    restore_file(model, source, tmp_path / "out", overwrite=True)
    assert f"noise: {level:.1f} of 255 (measured)" in capsys.readouterr().err


def test_a_level_that_is_set_is_kept(tmp_path, source):
    model = zoo.load(MAP)
    set_level = models.at_noise_level(model, 50)
    truth = run(tmp_path, source, set_level)
    np.testing.assert_array_equal(run(tmp_path, source, model, sigma=50), truth)
    assert np.abs(truth.astype(int) - run(tmp_path, source, model)).max() > 2
    assert lacks_level(model) and not lacks_level(set_level)
    raw = models.build("vresnet_feat", features=4, blocks=1, noise_map=True)
    assert takes_level(raw) and lacks_level(raw)
    assert run(tmp_path, source, raw).shape == truth.shape


def test_what_does_not_go_together(tmp_path, source, delay):
    with pytest.raises(ValueError, match=r"delay has no noise map.*Received: sigma=3"):
        run(tmp_path, source, delay(), sigma=3)
    with pytest.raises(ValueError, match=r"of scale 2\. Leave the strength at 1"):
        wide = models.build("vresnet_feat", features=4, blocks=1, scale=2)
        run(tmp_path, source, wide, strength=0.5)
    for wrong in ({"start": -1}, {"seconds": 0}, {"start": float("nan")}):
        with pytest.raises(ValueError, match="is out of range"):
            run(tmp_path, source, delay(), **wrong)
    with pytest.raises(ValueError, match="no frame from 9 s on: its last frame is at"):
        run(tmp_path, source, delay(), start=9)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_strength_of_a_file(tmp_path, source):
    model, before = zoo.load("tiny"), images(source)
    np.testing.assert_array_equal(run(tmp_path, source, model, strength=0), before)
    np.testing.assert_array_equal(run(tmp_path, source, MAP, strength=0), before)
    half = run(tmp_path, source, model, strength=0.5).astype(int)
    full = run(tmp_path, source, model).astype(int)
    assert np.abs(half - (full + before) / 2).max() <= 1


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"start": 0.12}, [3, 4, 5, 6, 7, 8, 9]),
        ({"start": 0.1, "seconds": 0.08}, [3, 4]),
        ({"seconds": 0.01}, [0]),
        ({"start": 0.36, "seconds": 9}, [9]),
    ],
)
def test_a_part(tmp_path, options, expected, delay):
    with ImageWriter(tmp_path / "in") as out:
        for t in range(10):
            out.write(np.full((16, 16, 3), 20 * t, np.uint8), t)
    with open_video(tmp_path / "in", 25) as video:
        frames = list(part(video, **options))
    assert [frame.image[0, 0, 0] // 20 for frame in frames] == expected
    assert [frame.time for frame in frames] == list(range(len(expected)))
    target = tmp_path / "out.mkv"
    count = restore_file(
        delay(2), tmp_path / "in", target, rate=25, lossless=True, progress=False,
        **options,
    )  # fmt: skip
    assert count == len(expected)
    with data.open_video(target) as video:
        restored = [(round(f.time * video.info.time_base * 25), f.image[0, 0, 0])
                    for f in video]  # fmt: skip
    assert restored == [(i, 20 * t) for i, t in enumerate(expected)]


def test_the_expected_time_is_said_once_of_large_frames(tmp_path, delay, capsys):
    for name, size in (("small", (64, 64)), ("large", (720, 1280))):
        with ImageWriter(tmp_path / name) as out:
            for t in range(6):
                out.write(np.zeros((*size, 3), np.uint8), t)
        restore_file(delay(), tmp_path / name, tmp_path / f"{name}_out")
        shown = capsys.readouterr().err
        assert shown.count("s per frame, about 1 minute") == (name == "large")
    said = []
    assert list(timed(iter(range(9)), 3, said.append)) == list(range(9))
    assert len(said) == 1 and 0 <= said[0] < 1
    assert list(timed(iter(range(3)), 3, said.append)) == [0, 1, 2] and len(said) == 1
    assert expected_time(7.52, None) == "about 7.5 s per frame"
    assert expected_time(0.123, 3000) == "about 0.12 s per frame, about 6 minutes"
