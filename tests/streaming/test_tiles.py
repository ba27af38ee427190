"""Frames cut into tiles.

Tested: where the cuts lie, for many sizes; a stitching worked out by hand; recurrences
recomputed in NumPy on whole frames, with states of the frame's size, half and twice
that, and with counters; that models see one tile at a time and one size of it; real
models against their untiled run, at every frame, with every strategy, look-ahead and
half precision; files and the command; bad arguments.
Not tested: memory and seams (benchmarks/tiles.py).
"""

import itertools

import keras
import numpy as np
import pytest
from scipy import ndimage

from stablevid_tf import models, streaming
from stablevid_tf.streaming.tiled import _cuts

# Tiles of 48 (or a few pixels less) in frames that 8 does not divide.
HEIGHT, WIDTH = 61, 83


def clip(count, shape=(HEIGHT, WIDTH, 3)):
    return np.random.default_rng(0).random((count, *shape), np.float32)


def restored(model, frames, *args, **options):
    return np.stack(list(streaming.restore(model, frames, *args, **options)))


def test_cuts_by_hand():
    # 83 = 3 mod 8: tiles of 43; with 8 shared on each side at most 24 apart.
    found = [(c.start, c.stop, c.first, c.last) for c in _cuts(83, 48, overlap=5)]
    assert found == [(0, 43, 0, 24), (16, 59, 24, 48), (40, 83, 48, 83)]
    assert [(c.start, c.stop) for c in _cuts(48, 48, 5)] == [(0, 48)]
    found = [(c.start, c.stop, c.first, c.last) for c in _cuts(49, 48, 0)]
    assert found == [(0, 41, 0, 24), (8, 49, 24, 49)]


@pytest.mark.parametrize("tile, overlap", [(16, 0), (32, 8), (33, 3), (100, 30)])
def test_every_pixel_is_kept_once_and_seen_with_its_overlap(tile, overlap):
    for length in range(1, 400):
        cuts = _cuts(length, tile, overlap)
        assert cuts[0].first == 0 and cuts[-1].last == length
        assert {c.stop - c.start for c in cuts} == {cuts[0].stop}
        assert cuts[0].stop <= tile
        assert all(c.start % 8 == 0 for c in cuts)
        for before, after in itertools.pairwise(cuts):
            assert before.last == after.first and before.last % 8 == 0
            assert after.first - after.start >= overlap
            assert before.stop - before.last >= overlap
        assert cuts[0].start == 0 and cuts[-1].stop == length
        assert len(cuts) <= max(1, -(-length // 8))


class Recurrence:
    """`y(t) = x(t) + s(t-1)`, enlarged; `s(t)` its mean over 3x3, zeros outside.

    The state is kept at `rate` pixels per input pixel. Only NumPy and SciPy.
    """

    name, latency, channels = "recurrence", 0, 3

    def __init__(self, scale=1, rate=1):
        self.scale, self.rate, self.shapes = scale, rate, set()

    def initial_state(self, frame):
        height, width = (-int(-n * self.rate // 1) for n in frame.shape[1:3])
        return {
            "map": np.zeros((1, height, width, 3), "float32"),
            "count": np.zeros(()),
        }

    def step(self, frame, state):
        frame, past = np.asarray(frame), np.asarray(state["map"])
        self.shapes.add(frame.shape)
        large = past if self.rate <= 1 else past[:, ::2, ::2]
        if self.rate < 1:
            large = past.repeat(2, 1).repeat(2, 2)
        y = frame + large[:, : frame.shape[1], : frame.shape[2]]
        mean = ndimage.uniform_filter(y, (1, 3, 3, 1), mode="constant") / 2
        if self.rate > 1:
            mean = mean.repeat(2, 1).repeat(2, 2)
        count = np.asarray(state["count"]) + 1
        state = {"map": mean[:, :: 2 if self.rate < 1 else 1], "count": count}
        if self.rate < 1:
            state["map"] = state["map"][:, :, ::2]
        return y.repeat(self.scale, 1).repeat(self.scale, 2) * count, state


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("rate", [1, 0.5, 2])
def test_a_recurrence_equals_that_of_whole_frames(rate, scale):
    frames = clip(6)
    whole = Recurrence(scale, rate)
    state, expected = whole.initial_state(frames[:1]), []
    for frame in frames:
        out, state = whole.step(frame[None], state)
        expected.append(out[0])
    model = Recurrence(scale, rate)
    # Running sums begin elsewhere in a tile: rounding, of values up to 12.
    out = restored(model, frames, tile=48, overlap=2)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    assert model.shapes == {(1, 45, 43, 3)}
    # Without overlap zeros come in at the seam, between rows 15 and 16.
    frames = clip(2, (32, 32, 3))
    whole = restored(Recurrence(scale, rate), frames)
    out = restored(Recurrence(scale, rate), frames, tile=16, overlap=0)
    np.testing.assert_allclose(out[0], whole[0], atol=1e-5)
    off = np.abs(out - whole)[1, :, : 12 * scale].max(axis=(1, 2))
    assert set(np.nonzero(off > 1e-5)[0] // scale) <= {14, 15, 16, 17}
    assert off.max() > 0.1


class Place:
    """The mean of a tile, everywhere: what each tile is given, by hand."""

    name, latency, channels, scale = "place", 0, 1, 2

    def initial_state(self, frame):
        return ()

    def step(self, frame, state):
        mean = np.mean(frame, axis=(1, 2), keepdims=True)
        return np.broadcast_to(mean, (1, 80, 80, 1)), state


def test_stitching_by_hand():
    ramp = np.arange(64, dtype="float32") / 64
    frame = np.broadcast_to(ramp[:, None, None], (64, 64, 1))
    (out,) = restored(Place(), [frame], tile=40, overlap=8)
    # Tiles of rows 0-39 and 24-63, cut in the middle of 24-39, twice as large.
    assert out.shape == (128, 128, 1)
    np.testing.assert_allclose(out[:64], 19.5 / 64, rtol=1e-6)
    np.testing.assert_allclose(out[64:], 43.5 / 64, rtol=1e-6)


REAL = {
    "vresnet_feat": {"features": 4, "blocks": 2},
    "vdncnn_rlsp_mf3": {"features": 4, "depth": 3},
    "vresnet_frame": {"features": 4, "blocks": 2, "scale": 2},
    "rlsp": {"features": 4},
    "vresnet_shift_mf7": {"features": 4, "blocks": 1, "channels": 1},
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_model_equals_its_untiled_run_at_every_frame(name):
    keras.utils.set_random_seed(0)
    model = models.build(name, **REAL[name])
    frames = clip(8)[..., : model.channels]
    whole = restored(model, frames)
    # The overlap covers one step, 4 to 8 convolutions of 3x3, though eight steps see
    # up to 60 pixels. The same sums, at most in another order.
    out = restored(model, frames, tile=48, overlap=8)
    np.testing.assert_allclose(out, whole, atol=1e-5)
    assert np.abs(restored(model, frames, tile=48, overlap=0) - whole).max() > 1e-2


def test_half_precision():
    keras.utils.set_random_seed(0)
    model = models.build("vresnet_feat", features=4, blocks=1, dtype="mixed_bfloat16")
    whole = restored(model, clip(3))
    out = restored(model, clip(3), tile=48, overlap=8)
    assert out.dtype == np.float32
    # One step of bfloat16 beside 1: 2^-8.
    np.testing.assert_allclose(out, whole, atol=2**-7)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = models.build("vresnet_feat_mf3", features=4, blocks=1)
    return models.dampened(model, 0.5)


@pytest.mark.parametrize(
    "strategy", ["burst", "overlap", "guard", "dampen", streaming.Dampen(0.8)]
)
def test_strategies_see_the_whole_frame(model, strategy):
    frames = clip(14)
    frames[9:] *= 0.2
    whole = restored(model, frames, strategy)
    out = restored(model, frames, strategy, tile=48, overlap=8)
    np.testing.assert_allclose(out, whole, atol=1e-5)


def test_a_guard_notices_the_same(model):
    class Failing(Recurrence):
        """Its state jumps at the 12th frame, in one corner."""

        def step(self, frame, state):
            out, state = super().step(frame, state)
            if state["count"] == 12:
                state["map"] = state["map"] * 9
            return out / state["count"], state

    frames = [np.full((HEIGHT, WIDTH, 3), 0.5, "float32")] * 20
    seen = []
    for options in ({}, {"tile": 48, "overlap": 8}):
        guard = streaming.Guard()
        list(streaming.restore(Failing(), frames, guard, **options))
        seen.append(guard.events)
    assert seen[0] == seen[1] != []


def test_clips_of_a_bidirectional_model():
    keras.utils.set_random_seed(0)
    model = models.build("vresnet_birlsp", features=4, blocks=1)
    model = models.dampened(model, 0.3)
    frames = clip(12, (32, 64, 3))
    whole = restored(model, frames, look_ahead=1)
    out = restored(model, frames, look_ahead=1, tile=48, overlap=16)
    # Ten frames see further than 16 pixels, but forget: each counts 0.3 of the last.
    np.testing.assert_allclose(out, whole, atol=1e-3)
    off = restored(model, frames, look_ahead=1, tile=32, overlap=0) - whole
    assert np.abs(off).max() > 1e-2


def test_a_frame_that_fits_is_not_cut_and_this_is_said_once():
    model = Recurrence()
    frames = clip(3, (24, 40, 3))
    with pytest.warns(UserWarning, match="40x24 fit in one tile of 48") as said:
        out = restored(model, frames, streaming.Burst(1), tile=48)
    assert len(said) == 1
    assert model.shapes == {(1, 24, 40, 3)}
    np.testing.assert_array_equal(out, restored(model, frames, streaming.Burst(1)))


def test_a_frame_longer_than_a_tile_and_narrower_is_cut_one_way():
    model = Recurrence()
    frames = clip(2, (24, 83, 3))
    out = restored(model, frames, tile=48, overlap=4)
    np.testing.assert_allclose(out, restored(Recurrence(), frames), atol=1e-5)
    assert model.shapes == {(1, 24, 43, 3)}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tile": 0}, r"tile must be a positive integer\. Received: 0"),
        ({"tile": 48.0}, "tile must be a positive integer"),
        ({"tile": "48"}, "tile must be a positive integer"),
        ({"tile": 48, "overlap": -1}, r"0 pixels or more\. Received: overlap=-1"),
        ({"tile": 48, "overlap": 2.5}, "Received: overlap=2.5"),
        ({"tile": 48, "overlap": 24}, r"be 64 pixels or more\. Received: tile=48"),
        (
            {"tile": 32},
            r"overlap by 16 pixels .* 48 pixels or more\. Received: tile=32",
        ),
        ({"overlap": 8}, "overlap needs tile"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        streaming.restore(Recurrence(), clip(1), **options)


def test_a_frame_of_another_size_is_named():
    frames = [*clip(2), clip(1, (WIDTH, HEIGHT, 3))[0]]
    with pytest.raises(ValueError, match="frame 2 is 61x83, those before it are 83x61"):
        restored(Recurrence(), frames, tile=48)
