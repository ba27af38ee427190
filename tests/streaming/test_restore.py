"""Tested: one frame out per frame in, in order, for any latency; folded twins; every
kind of bad frame. Not tested: the models' own arithmetic."""

import itertools

import numpy as np
import pytest

from stablevid_tf import streaming


def frames(count, shape=(6, 8, 3), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random(shape, np.float32) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("latency", [0, 1, 3, 7])
def test_every_frame_goes_out_in_order(delay, count, latency):
    model = delay(latency)
    out = list(streaming.restore(model, iter(frames(count))))
    np.testing.assert_array_equal(out, frames(count))
    assert out[0].dtype == np.float32
    assert model.started == 1


def test_scale_and_grey(delay):
    out = list(streaming.restore(delay(scale=4, channels=1), frames(2, (6, 8, 1))))
    assert [o.shape for o in out] == [(24, 32, 1)] * 2


def test_nothing_is_clipped_and_noise_is_let_through(delay):
    noisy = np.random.default_rng(0).normal(0.5, 100 / 255, (256, 256, 3))
    out = next(streaming.restore(delay(), [noisy]))
    np.testing.assert_array_equal(out, noisy.astype(np.float32))
    assert out.min() < 0 and out.max() > 1


def test_frames_are_asked_for_one_at_a_time(delay):
    taken = []
    endless = (taken.append(i) or frame for i, frame in enumerate(
        itertools.repeat(frames(1)[0])))  # fmt: skip
    restored = streaming.restore(delay(latency=2), endless)
    assert taken == []
    next(restored)
    assert len(taken) == 3
    next(restored)
    assert len(taken) == 4


def test_the_folded_twin_does_the_work_and_is_made_once(delay):
    class Folding(delay):
        folds = 0

        def step(self, frame, state):
            raise AssertionError("the unfolded model ran")

        def fold(self):
            Folding.folds += 1
            return delay()

    assert len(list(streaming.restore(Folding(), frames(3)))) == 3
    assert Folding.folds == 1


def test_what_cannot_stream_is_refused_before_any_frame(delay):
    with pytest.raises(ValueError, match="list has neither `step`"):
        streaming.restore([], frames(1))
    for unknown in ("bursts", streaming.Burst, 10):
        with pytest.raises(
            ValueError, match=r"\['burst', 'dampen', 'guard', 'overlap'"
        ):
            streaming.restore(delay(), frames(1), strategy=unknown)


GOOD = np.zeros((6, 8, 3), np.float32)


@pytest.mark.parametrize(
    "bad, message",
    [
        (np.zeros((6, 8), np.float32), r"frame 2 must be \[height, width, 3\]"),
        (np.zeros((1, 6, 8, 3), np.float32), r"shape \(1, 6, 8, 3\)"),
        (np.zeros((6, 8, 1), np.float32), r"shape \(6, 8, 1\)"),
        (np.zeros((0, 8, 3), np.float32), r"shape \(0, 8, 3\)"),
        (np.zeros((6, 8, 3), np.uint8), "uint8; divide by 255"),
        (np.zeros((6, 8, 3), bool), "bool"),
        (np.full((6, 8, 3), 200.0), "to 200; divide by 255"),
        (np.full((6, 8, 3), -9.0), "from -9"),
        (np.where(np.arange(3) == 1, np.nan, GOOD), "frame 2 holds NaN"),
        (np.where(np.arange(3) == 1, np.inf, GOOD), "frame 2 holds NaN or inf"),
        (np.zeros((8, 6, 3), np.float32), "frame 2 is 6x8, those before it are 8x6"),
    ],
)
def test_bad_frames(delay, bad, message):
    restored = streaming.restore(delay(), [GOOD, GOOD, bad])
    assert len([next(restored), next(restored)]) == 2
    with pytest.raises(ValueError, match=message):
        next(restored)


def test_no_frames(delay):
    with pytest.raises(ValueError, match="at least one"):
        list(streaming.restore(delay(latency=2), []))


@pytest.mark.parametrize("name", ["vresnet_feat", "vdncnn_rlsp_mf3"])
def test_a_real_model_equals_its_whole_clip_call(name):
    from stablevid_tf import models

    model = models.build(name, features=8)
    clip = np.stack(frames(6, (16, 20, 3)))
    out = np.stack(list(streaming.restore(model, clip)))
    np.testing.assert_allclose(out, model.predict(clip[None], verbose=0)[0], atol=1e-5)
