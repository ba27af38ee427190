"""Sequences that try a model: which picture or window each frame shows.

Tested: the order of stills and ping-pong, written out; sliding by whole pixels as
crops, by fractions against Keys' kernel written piecewise; turning at both ends;
gamma against NumPy; laziness, type and range; bad input.
Not tested: decoding (test_video_reader.py).
"""

import itertools

import numpy as np
import pytest

from stablevid_tf.data import sequences


def pictures(count, shape=(5, 6, 3)):
    return np.random.default_rng(0).random((count, *shape)).astype("float32")


def test_stills_share_the_frames():
    a, b, c = pictures(3)
    got = list(sequences.stills([a, b, c], frames=7))
    # floor(3 t / 7)
    np.testing.assert_array_equal(got, [a, a, a, b, b, c, c])


@pytest.mark.parametrize("n", [1, 2, 8, 32, 128, 512, 2048])
def test_stills_of_appendix_h(n):
    images = [np.full((1, 1, 1), i / n) for i in range(n)]
    got = np.ravel(list(sequences.stills(images)))
    np.testing.assert_array_equal(got, np.repeat(np.arange(n) / n, 2048 // n))


def test_still():
    (image,) = pictures(1)
    np.testing.assert_array_equal(list(sequences.still(image, 3)), [image] * 3)


def test_ping_pong_turns_without_a_pause():
    f1, f2, f3, f4 = clip = pictures(4)
    got = list(sequences.ping_pong(clip, frames=9))
    np.testing.assert_array_equal(got, [f1, f2, f3, f4, f3, f2, f1, f2, f3])


def test_ping_pong_of_one_and_of_two():
    one, two = pictures(2)
    np.testing.assert_array_equal(list(sequences.ping_pong([one], 3)), [one] * 3)
    got = list(sequences.ping_pong(iter([one, two]), 3))
    np.testing.assert_array_equal(got, [one, two, one])


def test_whole_pixels_are_crops_that_turn_at_both_ends():
    (image,) = pictures(1, (9, 10, 1))
    got = sequences.pan(image, 10, velocity=(1, -2), size=4)
    # R is 3 down, from 1 to 4; 4 to the right, from 5 to 1 and back.
    down = [1, 2, 3, 4, 3, 2, 1, 2, 3, 4]
    right = [5, 3, 1, 3, 5, 3, 1, 3, 5, 3]
    for frame, y, x in zip(got, down, right, strict=True):
        np.testing.assert_array_equal(frame, image[y : y + 4, x : x + 4])


def test_an_axis_at_rest_shows_the_middle():
    (image,) = pictures(1, (8, 4, 2))
    for frame in sequences.pan(image, 3, velocity=(0, 0), size=4):
        np.testing.assert_array_equal(frame, image[2:6])


def keys(x):
    """Keys' cubic convolution kernel, a = -1/2, piece by piece (1981, equation 15)."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def test_fractions_of_a_pixel():
    image = 0.25 + pictures(1, (10, 9, 3))[0] / 2
    *_, frame = sequences.pan(image, 4, velocity=(0.3, 0.75), size=5)
    y, x = 1 + 3 * 0.3, 1 + 3 * 0.75 - 2 * 0.25  # R is 2 to the right: it has turned
    down = np.array([[keys(y + i - k) for k in range(10)] for i in range(5)])
    right = np.array([[keys(x + j - k) for k in range(9)] for j in range(5)])
    wanted = np.einsum("ik,jl,klc->ijc", down, right, image)
    np.testing.assert_allclose(frame, wanted, atol=1e-6)  # float32


def test_overshoot_is_clipped():
    image = np.zeros((12, 12, 1))
    image[:, 6:] = 1.0
    for frame in sequences.pan(image, 30, velocity=(0, 0.37), size=5):
        assert frame.min() >= 0
        assert frame.max() <= 1


def test_gamma_runs_between_its_bounds():
    (image,) = pictures(1)
    got = list(sequences.gamma(image, 41, low=0.5, high=3.0, period=40))
    np.testing.assert_allclose(got[0], image**0.5, rtol=1e-6)
    np.testing.assert_allclose(got[20], image**3.0, rtol=1e-6)
    np.testing.assert_allclose(got[10], image ** np.sqrt(1.5), rtol=1e-6)
    np.testing.assert_allclose(got[7], got[33], rtol=1e-6)


def test_gamma_of_a_clip_plays_it_back_and_forth():
    clip = pictures(3)
    got = list(sequences.gamma(clip, 5, low=2.0, high=2.0))
    np.testing.assert_allclose(got, clip[[0, 1, 2, 1, 0]] ** 2, rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda image, n: sequences.still(image, n),
        lambda image, n: sequences.stills([image, image], n),
        lambda image, n: sequences.pan(image, n, (0.2, 0.3), 3),
        lambda image, n: sequences.ping_pong([image, image], n),
        lambda image, n: sequences.gamma(image, n),
    ],
)
def test_lazy_float32_from_any_picture(make):
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), "uint8")
    assert len(list(make(image, 4))) == 4
    # A sequence too long to be held.
    of_bytes = list(itertools.islice(make(image, 10**12), 3))
    of_floats = list(itertools.islice(make(image / 255, 10**12), 3))
    assert all(f.dtype == np.float32 and f.ndim == 3 for f in of_bytes)
    assert np.min(of_bytes) >= 0 and np.max(of_bytes) <= 1
    np.testing.assert_allclose(of_bytes, of_floats, atol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sequences.still(np.zeros((4, 4)), 3), "height, width, channels"),
        (lambda: sequences.still(np.zeros((4, 4, 3), int), 3), "uint8 or floating"),
        (lambda: sequences.still(np.full((4, 4, 3), 255.0), 3), "divide by 255"),
        (lambda: sequences.still(np.full((4, 4, 3), np.nan), 3), "nan"),
        (lambda: sequences.still(np.zeros((4, 4, 3)), 0), "positive integer"),
        (lambda: sequences.still(np.zeros((4, 4, 3)), 2.5), "2.5"),
        (lambda: sequences.stills([], 3), "0 pictures"),
        (lambda: sequences.stills(pictures(4), 3), "do not fit"),
        (lambda: sequences.ping_pong([*pictures(1), np.zeros((4, 4, 3))], 3), "one s"),
        (lambda: sequences.pan(pictures(1)[0], 3, (1, 0), 3), "picture of shape"),
        (lambda: sequences.pan(pictures(1)[0], 3, (0, 0), 6), "picture of shape"),
        (lambda: sequences.gamma(pictures(1)[0], 3, low=0), "0 < low"),
        (lambda: sequences.gamma(pictures(1)[0], 3, period=0), "period"),
    ],
)
def test_bad_input_is_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()
