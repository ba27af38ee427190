"""What degrades a clip: numbers, alignment, and the layers in every data pipeline.

Tested: weights of MATLAB's imresize for scales 2, 3 and 4 as fractions, and its edges,
against a float64 loop; the Gaussian against scipy; alignment by mirroring and by phase
correlation; deviations and variances of noise; blur against NumPy, its target the
middle frame; H.264 against its quality, sizes and repetition; one of several, how often
and as it is; one transform for a whole clip; layers in NumPy, eager and in parallel
tf.data, repeatable from a seed, through their configuration; errors.
Not tested: ClipDataset (test_clip_dataset_degrade.py); MATLAB itself.
"""

from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from stablevid_tf.data import degradations
from stablevid_tf.data.dead_leaves import dead_leaves
from stablevid_tf.data.degradations import (
    H264,
    BicubicDown,
    GaussianDown,
    GaussianNoise,
    MotionBlur,
    OneOf,
    PoissonGaussian,
)

LAYERS = [
    GaussianNoise(sigma=(5, 50), noise_map=True, seed=3),
    PoissonGaussian(photons=(50, 500), sigma=2),
    BicubicDown(scale=2),
    GaussianDown(scale=4, sigma=1.2, centred=True),
    MotionBlur(window=3, every=2, gamma=2.2),
    H264(crf=(20, 40), preset="ultrafast"),
    OneOf([GaussianNoise(sigma=(5, 50)), PoissonGaussian(photons=90)], [3, 1], seed=2),
]
ids = [type(layer).__name__ for layer in LAYERS]


def clip(frames=5, height=32, width=24, channels=3, seed=0):
    shape = (frames, height, width, channels)
    return np.random.default_rng(seed).random(shape, dtype="float32")


def moving(frames=7, height=64, width=64):
    """A scene that slides to the right, two pixels a frame."""
    scene = gaussian_filter(dead_leaves(height, width + 2 * frames), (1, 1, 0))
    return np.stack([scene[:, 2 * t :][:, :width] for t in range(frames)])


# --- bicubic ---------------------------------------------------------------------

# imresize's kernel k(distance / s) / s of Keys' cubic, a = -1/2, at half-pixel
# centres. For s = 2 the weights are widely printed: -0.01171875 = -3/256, -0.03515625,
# 0.11328125, 0.43359375, and back.
PUBLISHED = [-0.01171875, -0.03515625, 0.11328125, 0.43359375]


def keys(x):
    x, half = abs(x), Fraction(1, 2)
    if x <= 1:
        return 3 * half * x**3 - 5 * half * x**2 + 1
    return -half * x**3 + 5 * half * x**2 - 4 * x + 2 if x < 2 else Fraction(0)


def imresize(row, scale):
    """One row shrunk, by MATLAB's documented rule in exact fractions of weights."""
    out, length = [], len(row)
    for i in range(length // scale):
        # MATLAB counts from 1: u = x / scale + (1 - 1 / scale) / 2 with scale < 1.
        centre = Fraction(2 * i + 1, 2) * scale - Fraction(1, 2)
        left = int(np.floor(centre - 2 * scale))
        taps = range(left, left + 4 * scale + 2)
        weights = [keys((centre - k) / scale) / scale for k in taps]
        total = sum(weights)
        mirrored = [*range(length), *reversed(range(length))]
        out.append(
            sum(
                float(w / total) * row[mirrored[k % (2 * length)]]
                for k, w in zip(taps, weights, strict=True)
            )
        )
    return np.array(out)


def test_the_published_weights():
    weights = [float(keys(Fraction(2 * k + 1, 4)) / 2) for k in (3, 2, 1, 0)]
    assert weights == PUBLISHED
    impulse = np.zeros((1, 16, 16, 1), "float32")
    impulse[0, 7, 7] = 1
    found = degradations.bicubic_down(impulse, 2)[0, 3, :, 0]
    # Output pixel 3 lies at 6.5, half a pixel from 7; 2 lies at 4.5, 4 at 8.5, 5 at
    # 10.5: distances 2.5, 0.5, 1.5, 3.5.
    column = np.array([0, 0, -0.03515625, 0.43359375, 0.11328125, -0.01171875, 0, 0])
    np.testing.assert_allclose(found, 0.43359375 * column, atol=1e-8)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("sides", [(2, 3), (7, 5)])
def test_bicubic_is_imresize(scale, sides):
    big = clip(1, sides[0] * scale, sides[1] * scale, 2)
    down = np.stack(
        [[imresize(r, scale) for r in p] for p in np.moveaxis(big[0], -1, 0)]
    )
    wanted = np.stack([[imresize(c, scale) for c in p.T] for p in down])
    found = degradations.bicubic_down(big, scale)[0]
    # float32 sums of up to 16 x 16 products.
    np.testing.assert_allclose(found, wanted.transpose(2, 1, 0), atol=1e-6)


# --- Gaussian --------------------------------------------------------------------


@pytest.mark.parametrize("scale, sigma", [(4, 1.5), (2, 0.8), (3, 4.0), (1, 1.0)])
def test_gaussian_is_scipys_and_every_nth_pixel(scale, sigma):
    big = clip(2, 24, 36)
    blurred = gaussian_filter(
        big.astype("float64"), (0, sigma, sigma, 0), mode="mirror"
    )
    found = degradations.gaussian_down(big, scale, sigma)
    np.testing.assert_allclose(found, blurred[:, ::scale, ::scale], atol=1e-6)


def test_centred_gaussian():
    big = clip(1, 16, 32, 1)
    found = degradations.gaussian_down(big, 4, 1.5, centred=True)[0, :, :, 0]
    # Far from the edges, written out: the weights of a place between two pixels.
    y, x = 4 * 1 + 1.5, 4 * 3 + 1.5
    rows, columns = np.mgrid[:16, :32]
    near = (abs(rows - y) < 8) & (abs(columns - x) < 8)
    weights = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.5**2)) * near
    wanted = (weights * big[0, ..., 0]).sum() / weights.sum()
    # Beyond 4 sigma lies 1e-4 of the weight.
    assert found[1, 3] == pytest.approx(wanted, abs=1e-4)


# --- alignment -------------------------------------------------------------------


@pytest.mark.parametrize(
    "down",
    [
        lambda x: degradations.bicubic_down(x, 4),
        lambda x: degradations.bicubic_down(x, 3),
        lambda x: degradations.gaussian_down(x, 4, centred=True),
        lambda x: degradations.motion_blur(x, 3)[0],
    ],
)
def test_a_mirrored_clip_gives_a_mirrored_result(down):
    big = moving(3, 48, 48)
    for way in (np.s_[:, ::-1], np.s_[:, :, ::-1]):
        np.testing.assert_allclose(down(big[way]), down(big)[way], atol=1e-6)


@pytest.mark.parametrize("scale, centred", [(4, False), (4, True), (3, False)])
def test_the_gaussians_grid(scale, centred):
    # A ramp shows where a pixel lies: its value is its place.
    place = np.broadcast_to(np.arange(48.0)[:, None] / 48, (1, 48, 48))[..., None]
    small = degradations.gaussian_down(place.copy(), scale, 1.5, centred)
    centre = (scale - 1) / 2 if centred else 0
    wanted = (scale * np.arange(48 // scale) + centre) / 48
    # In the middle, where no edge is near.
    np.testing.assert_allclose(small[0, 3:-3, 5, 0], wanted[3:-3], atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        GaussianNoise(30),
        PoissonGaussian(200, 5),
        H264(crf=30),
        MotionBlur(3),
        MotionBlur(3, every=2),
    ],
    ids=lambda x: type(x).__name__,
)
def test_degraded_and_target_show_the_same_place(layer):
    degraded, target = layer(moving())
    assert degraded.shape == target.shape
    for a, b in zip(degraded, target, strict=True):
        shift, *_ = phase_cross_correlation(a[..., 1], b[..., 1], upsample_factor=20)
        # Frames lie two pixels apart: the neighbours' would be 2. A mean over time is
        # symmetric about its middle.
        assert np.abs(shift).max() <= 0.15


# --- noise -----------------------------------------------------------------------


def test_gaussian_noise(random):
    clean = np.full((4, 64, 64, 3), 0.1)
    noisy = degradations.gaussian_noise(clean, 30, random)
    noise = 255 * (noisy - 0.1)
    # Five standard errors of 49,152 values.
    assert noise.std() == pytest.approx(30, rel=5 / np.sqrt(2 * noise.size))
    assert abs(noise.mean()) < 5 * 30 / np.sqrt(noise.size)
    # Not clipped.
    assert noisy.min() < -0.2


def test_the_noise_map_tells_the_level_of_the_whole_clip():
    layer = GaussianNoise(sigma=(0, 55), noise_map=True)
    levels = set()
    for number in range(20):
        noisy, clean = layer(np.full((3, 32, 32, 3), 0.5), number)
        assert np.ptp(noisy[..., 3]) == 0
        level = noisy[0, 0, 0, 3]
        # 3,072 values a frame: five standard errors, in each frame alike.
        deviations = (noisy[..., :3] - clean).std((1, 2, 3))
        np.testing.assert_allclose(deviations, level, rtol=5 / np.sqrt(2 * 3072))
        levels.add(255 * float(level))
    assert len(levels) == 20
    assert 0 <= min(levels) < 15 < 40 < max(levels) <= 55


@pytest.mark.parametrize("x, photons, sigma", [(0.1, 50, 0), (0.8, 200, 10), (0, 9, 4)])
def test_poisson_gaussian(random, x, photons, sigma):
    noisy = degradations.poisson_gaussian(
        np.full((2, 100, 100, 3), float(x)), photons, sigma, random
    )
    variance = x / photons + (sigma / 255) ** 2
    count = noisy.size
    assert noisy.mean() == pytest.approx(x, abs=5 * np.sqrt(variance / count))
    # Five standard errors; a Poisson's fourth moment adds to a Gaussian's.
    error = np.sqrt((2 + 1 / max(x * photons, 1)) / count)
    assert noisy.var() == pytest.approx(variance, rel=5 * error)


# --- motion blur -----------------------------------------------------------------


@pytest.mark.parametrize("window, every, gamma", [(1, 1, 1), (3, 1, 1), (5, 2, 2.2)])
def test_motion_blur(window, every, gamma):
    sharp = clip(9)
    blurred, target = degradations.motion_blur(sharp, window, every, gamma)
    starts = range(0, 10 - window, every)
    light = sharp.astype("float64") ** gamma
    wanted = [light[t : t + window].mean(0) ** (1 / gamma) for t in starts]
    np.testing.assert_allclose(blurred, wanted, atol=1e-6)
    np.testing.assert_array_equal(target, [sharp[t + window // 2] for t in starts])
    layer = MotionBlur(window, every, gamma)
    assert layer.frames_needed(len(starts)) <= 9 < layer.frames_needed(len(starts) + 1)


# --- H.264 -----------------------------------------------------------------------


def quality(a, b):
    return -10 * np.log10(((a - b) ** 2).mean())


def test_h264_by_its_quality():
    scene = moving(5)
    found = [quality(degradations.h264(scene, crf), scene) for crf in (1, 18, 30, 45)]
    assert found == sorted(found, reverse=True)
    # 4:2:0 and 8 bits leave coloured edges; x264 at 1 leaves little else.
    assert found[0] > 38 and found[-1] < 28
    again = degradations.h264(scene, 30)
    np.testing.assert_array_equal(again, degradations.h264(scene, 30))
    assert again.min() >= 0 and again.max() <= 1


def test_h264_leaves_colour_in_its_place():
    smooth = gaussian_filter(clip(1, 64, 64), (0, 3, 3, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    red_less_green = np.array([1.0, -1.0, 0.0])
    for way in (np.s_[:, ::-1], np.s_[:, :, ::-1]):
        a, b = degradations.h264(smooth[way], 0), degradations.h264(smooth, 0)[way]
        # Half a pixel's shift of chroma either way.
        half = np.abs(np.diff(smooth[0] @ red_less_green, axis=1)).mean()
        assert np.abs((a - b) @ red_less_green).mean() < half / 20


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (2, 17, 33, 3), (3, 32, 48, 1)])
def test_h264_sizes(shape):
    # Smooth, or any compression is poor.
    smooth = gaussian_filter(clip(*shape), (0, 4, 4, 0))
    found = degradations.h264(smooth, 5)
    assert found.shape == shape
    assert quality(found, smooth) > 35


# --- one of several --------------------------------------------------------------


def test_each_is_drawn_as_often_as_its_weight_says(random):
    either = OneOf([GaussianNoise(0), GaussianNoise(50), GaussianNoise(0)], [1, 3, 0])
    flat = np.full((1, 4, 4, 1), 0.5)
    noisy = [either.degrade(flat, random)[0].std() > 0 for _ in range(800)]
    # Five standard errors.
    assert np.mean(noisy) == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / 800) ** 0.5)
    third = OneOf([GaussianNoise(20), GaussianNoise(0)])
    noisy = [third.degrade(flat, random)[0].std() > 0 for _ in range(800)]
    assert np.mean(noisy) == pytest.approx(0.5, abs=5 * (0.25 / 800) ** 0.5)


def test_it_degrades_as_the_one_that_was_drawn():
    one, other = MotionBlur(window=3), MotionBlur(window=3, gamma=3.0)
    either = OneOf([one, other])
    assert either.frames_needed(5) == one.frames_needed(5) == 7
    scene = clip(7)
    found = {
        float(either.degrade(scene, np.random.default_rng(seed))[0].sum())
        for seed in range(12)
    }
    wanted = {float(x.degrade(scene, None)[0].sum()) for x in (one, other)}
    assert found == wanted and len(wanted) == 2
    down = OneOf([BicubicDown(2), GaussianDown(2)])
    degraded, target = down(clip())
    assert down.scale == 2 and target.shape[1] == 2 * degraded.shape[1]


# --- the layers ------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS, ids=ids)
def test_the_configuration_says_all(layer):
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(twin) is type(layer)
    assert twin.get_config() == layer.get_config()
    for a, b in zip(layer(clip(), 7), twin(clip(), 7), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer", LAYERS, ids=ids)
def test_numpy_eager_and_parallel_tf_data_agree(layer):
    clips = np.stack([clip(seed=i) for i in range(6)])
    plain = [layer(c, number) for number, c in enumerate(clips)]
    eager = layer(tf.constant(clips[2]), 2)
    mapped = (
        tf.data.Dataset.from_tensor_slices(clips)
        .enumerate()
        .map(lambda i, c: layer(c, i), num_parallel_calls=4)
    )
    for spec, part in zip(mapped.element_spec, plain[0], strict=True):
        assert spec.shape == part.shape
        assert spec.dtype == "float32"
    for number, found in enumerate(mapped):
        for a, b in zip(found, plain[number], strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(eager, plain[2], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer", LAYERS, ids=ids)
def test_unknown_sizes_in_tf_data(layer):
    signature = tf.TensorSpec((None, None, None, 3), tf.float32)
    data = tf.data.Dataset.from_generator(
        lambda: iter([clip()]), output_signature=signature
    )
    (found,) = data.map(lambda c: layer(c, 1))
    for a, b in zip(found, layer(clip(), 1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_calls_are_counted_and_start_again_from_the_seed():
    a, b, other = GaussianNoise(seed=1), GaussianNoise(seed=1), GaussianNoise(seed=2)
    first, second = a(clip())[0], a(clip())[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(b(clip())[0], first)
    np.testing.assert_array_equal(b(clip(), 1)[0], second)
    assert not np.array_equal(other(clip())[0], first)
    # In a graph too.
    one = GaussianNoise(seed=1)
    data = tf.data.Dataset.from_tensors(clip()).repeat(2).map(one)
    for found, wanted in zip(data, (first, second), strict=True):
        np.testing.assert_array_equal(found[0], wanted)


def test_batches_draw_for_each_clip():
    noisy, _ = GaussianNoise(sigma=(0, 50), noise_map=True)(np.zeros((8, 2, 8, 8, 1)))
    levels = noisy[:, 0, 0, 0, -1]
    assert len(set(levels)) == 8
    assert (noisy[..., -1] == levels[:, None, None, None]).all()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda d, x: d.gaussian_noise(x[0], 3, None), "A clip is"),
        (lambda d, x: d.bicubic_down((255 * x).astype("uint8")), "divide integers"),
        (lambda d, x: d.bicubic_down(255 * x), "values from"),
        (lambda d, x: d.bicubic_down(x * np.nan), "finite"),
        (lambda d, x: d.bicubic_down(x, 5), "24x32"),
        (lambda d, x: d.bicubic_down(x, 0), "scale is an integer"),
        (lambda d, x: d.bicubic_down(x, 2.0), "scale is an integer"),
        (lambda d, x: d.gaussian_down(x, 4, 0), "deviation"),
        (lambda d, x: d.motion_blur(x, 4), "odd"),
        (lambda d, x: d.motion_blur(x, 7), "7 frames"),
        (lambda d, x: d.motion_blur(x, 3, 0), "every"),
        (lambda d, x: d.motion_blur(x, 3, 1, 0), "gamma"),
        (lambda d, x: d.h264(x, 52), "crf"),
        (lambda d, x: d.h264(x, 20.5), "crf"),
        (lambda d, x: d.h264(x, 20, "swift"), "preset"),
        (lambda d, x: d.h264(x[..., :2], 20), "RGB or grey"),
        (lambda d, x: d.h264(x[:, :8], 20), "16 pixels"),
        (lambda d, x: GaussianNoise(sigma=(50, 10)), "sigma"),
        (lambda d, x: GaussianNoise(sigma=(1, 2, 3)), "sigma"),
        (lambda d, x: PoissonGaussian(photons=0), "photons"),
        (lambda d, x: H264(crf=(30, 20)), "crf"),
        (lambda d, x: H264(crf=(1, 2, 3)), "crf"),
        (lambda d, x: GaussianNoise(seed=-1), "seed"),
        (lambda d, x: OneOf([]), "at least one degradation"),
        (lambda d, x: OneOf([GaussianNoise()], [1, 2]), "as many weights"),
        (lambda d, x: OneOf([GaussianNoise()], [-1]), "weights must be finite"),
        (lambda d, x: OneOf([GaussianNoise()], [0]), "not all 0"),
        (lambda d, x: OneOf([GaussianNoise()], [np.nan]), "weights must be finite"),
        (lambda d, x: OneOf([GaussianNoise(), BicubicDown(2)]), "one scale"),
        (lambda d, x: GaussianNoise()(keras.Input((None, 8, 8, 3))), "inside a model"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call(degradations, clip())
