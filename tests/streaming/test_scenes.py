"""Scene cuts, found in the input.

Tested: one cut is one cut, clean and under noise of sigma 30/255; none in noise alone,
in motion, in a fade, at the end of a flash; sizes that 8 does not divide.
Not tested: real footage.
"""

import numpy as np
import pytest

from stablevid_tf.streaming.scenes import scenes

RANDOM = np.random.default_rng


def picture(seed, height=36, width=52):
    """A soft random texture in [0, 1]."""
    coarse = RANDOM(seed).random((height // 4 + 1, width // 4 + 1, 3))
    return coarse.repeat(4, 0).repeat(4, 1)[:height, :width]


def noisy(frames, sigma=30 / 255):
    random = RANDOM(0)
    for frame in frames:
        yield (frame + sigma * random.normal(size=frame.shape)).astype("float32")


def cuts(frames):
    """The frames at which a scene begins, but the first."""
    found = [scene for scene, _ in scenes(frames)]
    return [int(i) for i in np.flatnonzero(np.diff(found)) + 1]


@pytest.mark.parametrize("sigma", [0, 30 / 255])
def test_one_cut_is_one_cut(sigma):
    frames = [picture(0)] * 40 + [picture(1)] * 40 + [picture(2)] * 5
    assert cuts(noisy(frames, sigma)) == [40, 80]


def test_frames_come_through_untouched():
    frames = [picture(0), picture(1)]
    found = [frame for _, frame in scenes(frames)]
    assert all(a is b for a, b in zip(found, frames, strict=True))


def test_noise_alone_is_no_cut():
    assert cuts(noisy([picture(0)] * 500)) == []


def test_motion_is_no_cut():
    wide = picture(0, 36, 1000)
    # 6 pixels a frame across squares of 4: all is new every frame.
    frames = [wide[:, 6 * t : 6 * t + 52] for t in range(150)]
    assert cuts(frames) == []
    assert cuts(noisy(frames)) == []


def test_the_onset_of_motion_is_one_cut_at_most():
    wide = picture(0, 36, 1000)
    frames = [wide[:, :52]] * 40 + [wide[:, 12 * t :][:, :52] for t in range(60)]
    assert len(cuts(noisy(frames))) <= 1


def test_a_fade_is_no_cut():
    frames = [(1 - t / 50) * picture(0) + t / 50 * picture(1) for t in range(51)]
    assert cuts([picture(0)] * 20 + frames) == []


def test_a_flash_is_one_cut():
    frames = [picture(0)] * 30 + [1 - 0.2 * picture(0)] + [picture(0)] * 30
    assert cuts(noisy(frames)) == [30]


@pytest.mark.parametrize("height, width", [(8, 8), (5, 7), (9, 17)])
def test_any_size(height, width):
    dark = np.zeros((height, width, 1), "float32")
    light = np.ones_like(dark)
    assert cuts([dark] * 5 + [light] * 5) == [5]
