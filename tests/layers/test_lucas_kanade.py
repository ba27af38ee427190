"""LucasKanade against NumPy float64, and on motion that is known.

Tested: flows of frames of any size, grey and coloured, of every option, against the
witness; whole and half pixels of motion, up to 40 pixels a frame; still frames, without
noise and with; no gradient; float32 under mixed precision; sizes that are not known in
advance; a configuration; wrong arguments.
Not tested: saving (test_every_layer.py); JAX (tests/test_jax.py); speed; real video.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import witness_flow
import witness_lucas_kanade
from scipy import ndimage

from stablevid_tf import backend
from stablevid_tf.data.dead_leaves import dead_leaves
from stablevid_tf.layers import LucasKanade

SIGMA = 30 / 255


def pair(height, width, channels=3, seed=0):
    """Two pairs of smooth frames that move, with a little noise.

    Smooth: then positions rounded to float32 read almost the same values. The noise
    keeps errors, which are divided by, far from 0.
    """
    random = np.random.default_rng(seed)
    coarse = random.random((2, height // 3 + 6, width // 3 + 6, channels))
    wide = witness_flow.resize(coarse, height + 8, width + 8)
    flow = np.zeros((*wide.shape[:3], 2)) + np.array([1.3, -0.8])
    moved = witness_flow.warp(wide, flow)
    frames = [x[:, 4:-4, 4:-4] for x in (wide, moved)]
    noise = 0.02 * random.normal(size=(2, *frames[0].shape))
    return tuple((x + n).astype("float32") for x, n in zip(frames, noise, strict=True))


@pytest.mark.parametrize(
    "size, channels, options",
    [
        ((19, 21), 3, {}),
        ((20, 27), 1, {"levels": 3, "iterations": 2}),
        ((33, 18), 3, {"levels": 3, "finest": 1}),
        ((16, 24), 3, {"levels": 3, "finest": 1, "iterations": 2}),
        ((13, 9), 1, {"levels": 2, "finest": 2}),
        # Smaller than the blocks: almost all is reflection.
        ((7, 5), 3, {"finest": 1}),
        ((2, 3), 1, {"levels": 2}),
        ((5, 1), 3, {"levels": 2, "iterations": 2}),
        ((1, 1), 3, {"levels": 1}),
    ],
)
def test_against_numpy(size, channels, options):
    before, after = pair(*size, channels)
    found = np.asarray(LucasKanade(**options)(before, after))
    wanted = witness_lucas_kanade.lucas_kanade(before, after, **options)
    assert found.shape == (2, *size, 2)
    assert np.abs(wanted).max() > (0.01 if min(size) > 1 else -1)  # something moves
    # Positions of some 30 pixels are rounded by 2e-6. A step of Lucas and Kanade
    # divides errors, rounded by 1e-7, by slopes of about 0.1; six levels add up.
    np.testing.assert_allclose(found, wanted, atol=1e-4)


# ------------------------------------------------------------------ known motion


@pytest.fixture(scope="module")
def flows():
    """One graph for frames of every size, of each finest level."""
    made = {}
    for finest in (0, 1):
        layer = LucasKanade(finest=finest)
        call = tf.function(lambda *frames, call=layer: call(*frames), autograph=False)
        made[finest] = call.get_concrete_function(
            *[tf.TensorSpec((None, None, None, 3))] * 2
        )
    return lambda finest, *frames: made[finest](*map(tf.constant, frames)).numpy()


def textured(side, seed=0):
    """Detail of every size from 1.5 pixels on, in [0, 1]."""
    random = np.random.default_rng(seed)
    sizes = (1.5, 3, 6, 12)
    noise = random.normal(size=(len(sizes), side, side, 3))
    x = sum(
        s * ndimage.gaussian_filter(n, (s, s, 0))
        for s, n in zip(sizes, noise, strict=True)
    )
    return (x - x.min()) / np.ptp(x)


def seen(picture, right, down, side):
    """A part of a picture, [1, side, side, 3]; cubic splines between its pixels."""
    at = np.mgrid[:side, :side] + np.reshape([down, right], (2, 1, 1))
    planes = np.moveaxis(picture, -1, 0)
    parts = [ndimage.map_coordinates(plane, at, order=3) for plane in planes]
    return np.stack(parts, -1)[None].astype("float32")


@pytest.mark.parametrize(
    "right, down",
    [(1, 0), (0.5, -0.5), (3, -2), (-8, 6.5), (12, 0), (-12, 12)],
)
def test_motion_is_found(flows, right, down):
    picture, side = textured(188), 160
    before = seen(picture, 14, 14, side)
    after = seen(picture, 14 + right, 14 + down, side)
    for finest, error, largest in ((0, 0.06, 0.2), (1, 0.12, 0.3)):
        flow = flows(finest, before, after)
        assert flow.shape == (1, side, side, 2)
        # Away from what enters the picture, and from the pixels beside it.
        away = np.linalg.norm(flow - [right, down], axis=-1)[:, 48:-48, 48:-48]
        assert away.mean() < error and away.max() < largest


def test_motion_of_40_pixels_is_found(flows):
    # With the statistics of natural pictures: sharp edges, and large parts.
    picture, side = dead_leaves(256, 296)[None], 256
    before, after = picture[:, :, 40:], picture[:, :, :side]
    flow = flows(0, before, after)
    away = np.linalg.norm(flow - [-40, 0], axis=-1)[:, 70:-70, 70:-70]
    assert away.mean() < 0.1


def test_parts_move_by_themselves(flows):
    picture, side = textured(136), 128
    before = seen(picture, 4, 4, side)
    after = seen(picture, 7, 4, side)
    after[:, :, side // 2 :] = seen(picture, 2, 4, side)[:, :, side // 2 :]
    flow = flows(0, before, after)
    for part, wanted in ((flow[:, :, 12:44], 3), (flow[:, :, -44:-12], -2)):
        assert np.linalg.norm(part - [wanted, 0], axis=-1).mean() < 0.2


def test_a_still_scene_hardly_moves(flows):
    flat = np.full((1, 128, 128, 3), 0.5, "float32")
    # Means over all pixels; half the size averages more noise away.
    for picture, most in ((dead_leaves(128, 128)[None], 0.2), (flat, 0.1)):
        for finest in (0, 1):
            assert not flows(finest, picture, picture).any()
            random = np.random.default_rng(1)
            noise = SIGMA * random.standard_normal((2, *picture.shape), "float32")
            flow = flows(finest, *(picture + noise))
            assert np.linalg.norm(flow, axis=-1).mean() < most


# ------------------------------------------------------------------ what it is


def test_no_gradient_passes():
    before, after = pair(19, 21)
    flow = LucasKanade(levels=3)
    total = lambda *frames: tf.reduce_sum(flow(*frames) ** 2)  # noqa: E731
    for call, x in (
        (lambda x: total(x, after), before),
        (lambda x: total(before, x), after),
    ):
        value, slope = backend.gradient(call, x)
        assert value > 0.1
        assert slope is None or not np.asarray(slope).any()
        _, moved = backend.jvp(call, tf.constant(x), tf.ones(x.shape))
        assert not np.asarray(moved).any()
    assert flow.count_params() == 0


def test_the_flow_is_float32_whatever_the_policy():
    before, after = pair(11, 14)
    wanted = LucasKanade(levels=2)(before, after)
    flow = LucasKanade(levels=2, dtype="mixed_bfloat16")
    found = flow(before, after)
    assert found.dtype == wanted.dtype == "float32"
    np.testing.assert_array_equal(found, wanted)
    # Frames that were rounded before are computed with in float32.
    half = [tf.cast(x, "bfloat16") for x in (before, after)]
    found = flow(*half)
    assert found.dtype == "float32"
    whole = [tf.cast(x, "float32") for x in half]
    np.testing.assert_array_equal(found, LucasKanade(levels=2)(*whole))
    symbols = [keras.Input((None, 7, 3), dtype="bfloat16") for _ in range(2)]
    symbol = flow(*symbols)
    assert (symbol.shape, symbol.dtype) == ((None, None, 7, 2), "float32")


def test_sizes_that_are_not_known_in_advance(flows):
    for size, finest in (((19, 21), 0), ((2, 3), 1), ((1, 1), 0)):
        frames = pair(*size)
        found = flows(finest, *frames)
        assert found.shape == (2, *size, 2)
        wanted = witness_lucas_kanade.lucas_kanade(*frames, finest=finest)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_configuration():
    flow = LucasKanade(levels=3, finest=2, iterations=4, name="f")
    twin = LucasKanade.from_config(flow.get_config())
    assert (twin.levels, twin.finest, twin.iterations, twin.name) == (3, 2, 4, "f")
    assert twin.get_config() == flow.get_config()
    shape = (2, None, 7, 3)
    assert flow.compute_output_shape(shape, shape) == (2, None, 7, 2)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"levels": 0}, "levels must be a positive integer"),
        ({"levels": 2.5}, "levels must be a positive integer"),
        ({"iterations": 0}, "iterations must be a positive integer"),
        ({"finest": -1}, "finest is a level from 0 to levels=5"),
        ({"finest": 3, "levels": 2}, "finest is a level from 0 to levels=2"),
        ({"finest": 0.5}, r"finest is a level.*Received: 0\.5"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        LucasKanade(**arguments)
