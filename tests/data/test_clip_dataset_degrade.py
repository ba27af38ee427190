"""ClipDataset(degrade=...): what is cut and what comes out.

Tested: without it, the batches of version 0.1 bit by bit, their random numbers drawn
again here; super-resolution, motion blur and functions, with the videos' own motion and
made-up one; repetition; a model fitted; errors.
Not tested: the degradations themselves (test_degradations.py).
"""

import numpy as np
import pytest
from PIL import Image

from stablevid_tf import data, models
from stablevid_tf.data import CameraPath
from stablevid_tf.data.degradations import (
    BicubicDown,
    GaussianNoise,
    MotionBlur,
    bicubic_down,
    motion_blur,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, count in (("a", 7), ("b", 9)):
        (folder / name).mkdir()
        for t in range(count):
            image = np.random.default_rng(t).integers(0, 256, (40, 44, 3), "uint8")
            Image.fromarray(image).save(folder / name / f"{t}.png")
    return folder


def dataset(source, **arguments):
    common = {"frames": 3, "size": 8, "batch_size": 4, "steps": 2}
    return data.ClipDataset(source, **(common | arguments))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("sigma", [{}, {"sigma": 30}, {"sigma": (5, 50)}])
def test_plain_noise_is_drawn_as_ever(source, grey, sigma):
    # Runs that are resumed and recipes that were packed must see the same batches.
    clips = dataset(source, seed=3, grey=grey, **sigma)
    clips.epoch = 2
    found = clips[1]
    videos = [
        np.stack([np.array(Image.open(source / n / f"{t}.png")) for t in range(c)])
        for n, c in (("a", 7), ("b", 9))
    ]
    random = np.random.default_rng([3, 2, 1])
    starts = np.array([5.0, 7.0])
    clean = []
    for v in random.choice(2, 4, p=starts / starts.sum()):
        t = random.integers(len(videos[v]) - 3 + 1)
        y, x = random.integers(40 - 8 + 1), random.integers(44 - 8 + 1)
        up, left = 1 - 2 * random.integers(2, size=2)
        clean.append(videos[v][t : t + 3, y : y + 8, x : x + 8][:, ::up, ::left])
    clean = np.stack(clean).astype("float32") / 255
    if grey:
        clean = clean @ np.array([[0.299], [0.587], [0.114]], "float32")
    low, high = {0: (30, 30)}.get(len(sigma)) or np.broadcast_to(sigma["sigma"], 2)
    level = random.uniform(low, high, size=(4, 1, 1, 1, 1)) / 255
    noise = random.standard_normal(clean.shape, dtype="float32")
    np.testing.assert_array_equal(found[1], clean)
    np.testing.assert_array_equal(found[0], clean + noise * level.astype("float32"))


@pytest.mark.parametrize("motion", [None, 0.5, CameraPath(0.5, reach=2)])
def test_super_resolution(source, motion):
    small, large = dataset(source, size=4, degrade=BicubicDown(4), motion=motion)[0]
    assert small.shape == (4, 3, 4, 4, 3)
    assert large.shape == (4, 3, 16, 16, 3)
    for a, b in zip(small, large, strict=True):
        np.testing.assert_array_equal(a, bicubic_down(b, 4))


@pytest.mark.parametrize("motion", [None, 0.5, CameraPath(0.5, reach=2)])
def test_motion_blur_reads_longer_windows(source, motion):
    seen = []

    class Blur(MotionBlur):
        def degrade(self, clip, random):
            seen.append(clip.copy())
            return super().degrade(clip, random)

    blurred, sharp = dataset(source, degrade=Blur(window=5), motion=motion)[0]
    assert blurred.shape == sharp.shape == (4, 3, 8, 8, 3)
    for clip, a, b in zip(seen, blurred, sharp, strict=True):
        assert len(clip) == 7
        np.testing.assert_array_equal(b, clip[2:5])
        np.testing.assert_array_equal(a, motion_blur(clip, 5)[0])


def test_windows_that_are_too_long_leave_videos_out(source):
    with pytest.warns(UserWarning, match="1 of 2 videos are left out"):
        dataset(source, degrade=MotionBlur(window=7))


def test_a_noise_map_and_grey(source):
    layer = GaussianNoise(sigma=(0, 55), noise_map=True)
    noisy, clean = dataset(source, degrade=layer, grey=True)[0]
    assert noisy.shape == (4, 3, 8, 8, 2)
    assert clean.shape == (4, 3, 8, 8, 1)
    assert len(set(noisy[:, 0, 0, 0, 1])) == 4


def test_batches_are_repeated_from_the_seed(source):
    layer = GaussianNoise(sigma=(0, 55))
    first, second = (dataset(source, degrade=layer, seed=5) for _ in range(2))
    # Another order of asking.
    a = [first[0], first[1]]
    b = [second[1], second[0]][::-1]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x[0], y[0])
    assert not np.array_equal(a[0][0], a[1][0])


def test_functions(source):
    # A pair, or the degraded clip alone.
    half, clean = dataset(source, degrade=lambda clip, random: clip / 2)[0]
    np.testing.assert_array_equal(half, clean / 2)
    ones, twice = dataset(
        source, degrade=lambda clip, random: (np.ones_like(clip), 2 * clip)
    )[0]
    assert (ones == 1).all()
    np.testing.assert_array_equal(twice, 2 * clean)


def test_a_super_resolver_is_fitted(source):
    clips = dataset(source, size=8, batch_size=1, steps=1, degrade=BicubicDown(4))
    model = models.build("mobile_rrn")
    model.compile("sgd", "mse", run_eagerly=True)
    (loss,) = model.fit(clips, verbose=0).history["loss"]
    assert np.isfinite(loss)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"degrade": MotionBlur(), "sigma": 30}, "give one of the two"),
        ({"degrade": "blur"}, "degrade is a layer"),
        ({"motion": "fast"}, "CameraPath"),
    ],
)
def test_wrong_arguments(source, arguments, words):
    with pytest.raises(ValueError, match=words):
        dataset(source, **arguments)


def test_a_function_that_loses_frames(source):
    clips = dataset(source, degrade=lambda clip, random: clip[1:])
    with pytest.raises(ValueError, match="must give 3 frames"):
        clips[0]
