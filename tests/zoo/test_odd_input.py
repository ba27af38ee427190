"""Blind denoisers on what they were not trained for.

Tested: black, white and coloured videos; more noise than in training; a drawing and a
screen of text without noise; video that is smooth already; cuts; strength 0. Required
of them: the mean colour moves by 0.5 of 255 at most, nothing is invented, no picture of
before a cut shows through.
Not tested: how well they denoise (benchmarks/denoise_psnr.py, versus_filters.py).
"""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from streamed import streamed

from stablevid_tf import models, zoo
from stablevid_tf.data.dead_leaves import dead_leaves
from stablevid_tf.data.sequences import pan

HALF = 0.5 / 255
# Of every clip: a graph of the network is made for each size, which takes seconds.
HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module", params=["denoise_realtime"])
def model(request):
    return zoo.load(request.param)


def noisy(clip, sigma, seed=0):
    noise = np.random.default_rng(seed).standard_normal(clip.shape, dtype="float32")
    return clip + noise * np.float32(sigma / 255)


def moving(frames, velocity, seed=0):
    """A window that moves over a picture with the statistics of natural ones."""
    picture = dead_leaves(WIDTH + 24, WIDTH + 24, seed)
    clip = np.stack(list(pan(picture, frames, velocity, WIDTH)))
    return clip[:, :HEIGHT]


def restored(model, clip):
    return streamed(model, clip[None])[0]


def psnr(a, b):
    return -10 * np.log10(np.mean((np.clip(a, 0, 1) - b) ** 2, dtype="float64"))


def colour_shift(a, b):
    """The largest difference of a channel's mean over a clip."""
    return np.abs(a.mean((0, 1, 2)) - b.mean((0, 1, 2))).max()


def texture(clip):
    """Root mean square difference of neighbouring pixels."""
    return np.sqrt(np.mean(np.diff(clip, axis=2) ** 2))


def drawing():
    """Flat areas with black outlines, [H, W, 3]."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    image = np.full((HEIGHT, WIDTH, 3), (0.9, 0.8, 0.3), "float32")
    for row, column, radius, colour in (
        (20, 30, 16, (0.2, 0.6, 0.3)),
        (40, 60, 20, (0.8, 0.2, 0.2)),
        (48, 20, 10, (0.2, 0.3, 0.9)),
    ):
        away = np.sqrt((y - row) ** 2 + (x - column) ** 2)
        image[away < radius] = colour
        image[np.abs(away - radius) < 1.2] = 0
    return image


def screen():
    """Black text on white, as on a screen."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    text = "\n".join(["stable video 27", "of any length", "0123456789 ABC"])
    ImageDraw.Draw(image).text((6, 6), text, fill=(20, 20, 20))
    return np.asarray(image, "float32") / 255


@pytest.mark.parametrize("colour", [(0, 0, 0), (1, 1, 1), (0.1, 0.4, 0.8)])
def test_one_colour(model, colour):
    clip = np.zeros((6, HEIGHT, WIDTH, 3), "float32") + np.float32(colour)
    found = restored(model, clip)
    assert colour_shift(found, clip) < HALF
    # Near the border, where convolutions see zeros, single pixels differ by more.
    inside = (found - clip)[:, 8:-8, 8:-8]
    assert np.abs(inside).max() < 2 * HALF


def test_more_noise_than_in_training(model):
    clean = moving(8, (1.0, 0.5))
    given = noisy(clean, 80)
    found = restored(model, given)
    assert colour_shift(found, given) < HALF
    # 80 of 255 is 10.1 dB. What is invented would show as texture.
    assert psnr(found[-1], clean[-1]) > psnr(given[-1], clean[-1]) + 8
    assert texture(found) < texture(clean)


@pytest.mark.parametrize("picture, least", [(drawing, 30), (screen, 38)])
def test_pictures_that_no_camera_took(model, picture, least):
    clip = np.repeat(picture()[None], 6, axis=0)
    found = restored(model, clip)
    assert colour_shift(found, clip) < HALF
    assert psnr(found, clip) > least


def test_smooth_already(model):
    sharp = moving(8, (1.0, 0.5))
    clip = gaussian_filter(sharp, (0, 1.5, 1.5, 0))
    found = restored(model, clip)
    assert colour_shift(found, clip) < HALF
    assert psnr(found, clip) > 38
    assert texture(found) < 1.02 * texture(clip)


@pytest.mark.parametrize("sigma", [0, 20])
def test_cuts(model, sigma):
    scenes = [
        moving(6, velocity, seed)
        for seed, velocity in ((1, (0.0, 0.0)), (2, (1.0, 0.0)))
    ]
    clean = np.concatenate(scenes)
    given = noisy(clean, sigma)
    found, anew = restored(model, given), restored(model, given[6:])
    for after in range(3):
        with_past = psnr(found[6 + after], clean[6 + after])
        assert with_past > psnr(anew[after], clean[6 + after]) - 0.3
    # Nothing of the last frame before the cut is left in the difference.
    before = clean[5] - clean[5].mean()
    left = np.mean((found[6] - anew[0]) * before) / np.mean(before**2)
    assert abs(left) < 0.003


def test_strength_zero(model):
    given = noisy(np.repeat(drawing()[None], 3, axis=0), 30)
    found = restored(models.at_strength(model, 0), given)
    np.testing.assert_array_equal(found, given)
