"""Made-up pictures: range, repeatability, and the statistics that they are made for.

Tested: shape, range, seeds; that brightness falls with frequency as in photographs
(power about 1/f^2: a slope between -1 and -3), unlike noise; that colour varies less
than brightness.
Not tested: what models make of them.
"""

import numpy as np
import pytest

from stablevid_tf.data.dead_leaves import dead_leaves


@pytest.mark.parametrize("height, width", [(8, 8), (31, 50)])
def test_shape_range_and_seed(height, width):
    picture = dead_leaves(height, width, seed=1)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == "float32"
    assert 0 <= picture.min() < picture.max() <= 1
    np.testing.assert_array_equal(picture, dead_leaves(height, width, seed=1))
    assert not np.array_equal(picture, dead_leaves(height, width, seed=2))


def slope(grey):
    """Exponent of the radial power spectrum between 2 and n/4 cycles."""
    n = len(grey)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    f = np.fft.fftfreq(n, 1 / n)
    radius = np.hypot(f[:, None], f)
    bands = np.arange(2, n // 4)
    means = [power[(radius >= b) & (radius < b + 1)].mean() for b in bands]
    return np.polyfit(np.log(bands), np.log(means), 1)[0]


def test_statistics():
    pictures = [dead_leaves(128, 128, seed) for seed in range(4)]
    assert -3 < np.mean([slope(p.mean(-1)) for p in pictures]) < -1
    noise = np.random.default_rng(0).random((128, 128))
    assert abs(slope(noise)) < 0.3
    brightness = np.std([p.mean(-1) for p in pictures])
    colour = np.std([p - p.mean(-1, keepdims=True) for p in pictures])
    assert colour < 0.5 * brightness
