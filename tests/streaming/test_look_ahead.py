"""Bidirectional models over any number of frames.

Tested: every frame once and in order, for every length around the windows'; one call
where the video fits in a window; equal to the whole clip as soon as the look-ahead
covers what the model sees in time, and not before; a real bidirectional model, whose
difference falls with the look-ahead to zero; bounded memory; bad arguments.
Not tested: what a trained bidirectional model loses (benchmarks/look_ahead.py).
"""

import itertools

import numpy as np
import pytest

from stablevid_tf import streaming


class Mean:
    """`y(t)`: the mean over `|d| <= reach` of `x(t + d)`, frames outside being zero."""

    name, channels, scale = "mean", 3, 1

    def __init__(self, reach=0):
        self.reach, self.lengths = reach, []

    def predict_on_batch(self, clips):
        self.lengths.append(clips.shape[1])
        around = np.pad(clips[0], [(self.reach, self.reach), (0, 0), (0, 0), (0, 0)])
        shifts = [around[i : i + clips.shape[1]] for i in range(2 * self.reach + 1)]
        return np.mean(shifts, axis=0, dtype="float32")[None]


def clip(count, shape=(4, 6, 3)):
    return np.random.default_rng(0).random((count, *shape), np.float32)


# With look_ahead 3 a window is of 3 + 8 + 3 frames.
LENGTHS = [1, 2, 13, 14, 15, 21, 22, 23, 29, 30, 31, 40]


@pytest.mark.parametrize("count", LENGTHS)
def test_every_frame_goes_out_once_and_in_order(count):
    model = Mean()
    out = list(streaming.restore(model, iter(clip(count)), look_ahead=3))
    np.testing.assert_array_equal(out, clip(count))
    assert model.lengths == [min(count, 14)] * max(1, 1 + -(-(count - 14) // 8))


@pytest.mark.parametrize("count", LENGTHS)
def test_equals_the_whole_clip_where_the_look_ahead_covers_the_reach(count):
    frames = clip(count)
    whole = Mean(3).predict_on_batch(frames[None])[0]
    out = list(streaming.restore(Mean(3), frames, look_ahead=3))
    np.testing.assert_array_equal(out, whole)
    short = np.stack(list(streaming.restore(Mean(3), frames, look_ahead=2)))
    # Two ahead: windows of 12 frames.
    assert np.array_equal(short, whole) == (count <= 12)


def test_no_look_ahead_is_clip_by_clip():
    frames = clip(20)
    out = list(streaming.restore(Mean(3), frames, look_ahead=0))
    pieces = [Mean(3).predict_on_batch(frames[None, s])[0] for s in
              (slice(8), slice(8, 16), slice(12, 20))]  # fmt: skip
    np.testing.assert_array_equal(out[:16], np.concatenate(pieces[:2]))
    # The last window is full: it reaches back to frames that have gone out.
    np.testing.assert_array_equal(out[16:], pieces[2][4:])


def test_a_large_look_ahead_keeps_twice_as_many():
    model = Mean()
    assert len(list(streaming.restore(model, clip(70), look_ahead=10))) == 70
    # Windows of 40 that keep 20: at most two calls a frame.
    assert model.lengths == [40, 40, 40]


def test_frames_are_asked_for_as_they_are_needed():
    taken = []
    endless = (taken.append(i) or f for i, f in enumerate(itertools.repeat(clip(1)[0])))
    restored = streaming.restore(Mean(), endless, look_ahead=3)
    assert taken == []
    for count in range(100):
        next(restored)
        # Those kept, those ahead, the one that tells that there are more; the first
        # window keeps those ahead of it as well.
        assert len(taken) <= count + 8 + 3 + 1 + (3 if count < 3 else 0)


@pytest.fixture(scope="module")
def model():
    import keras

    from stablevid_tf import models

    keras.utils.set_random_seed(0)
    model = models.build("vresnet_birlsp", features=4, blocks=1)
    # Loops that forget: halved at least from frame to frame.
    return models.dampened(model, 0.3)


def test_a_bidirectional_model_differs_less_the_further_it_looks(model):
    frames = clip(40, (8, 12, 3))
    whole = model.predict_on_batch(frames[None])[0]
    off = []
    for ahead in (0, 2, 4, 8, 10):
        out = np.stack(list(streaming.restore(model, frames, look_ahead=ahead)))
        off.append(np.abs(out - whole).max())
    assert off[0] > 1e-3
    assert all(b < a / 2 for a, b in itertools.pairwise(off[:3]))
    # A window of 40 is the clip itself.
    assert off[3] < 1e-4 and off[4] == 0


def test_what_is_shorter_than_a_window_equals_the_whole_clip_call(model):
    frames = clip(16, (8, 12, 3))
    out = list(streaming.restore(model, frames))
    np.testing.assert_array_equal(out, model.predict_on_batch(frames[None])[0])


@pytest.mark.parametrize("wrong", [-1, 2.0, "4", True])
def test_bad_look_ahead(wrong):
    with pytest.raises(ValueError, match="0 frames or more"):
        streaming.restore(Mean(), clip(2), look_ahead=wrong)


def test_look_ahead_and_strategies_exclude_each_other(delay):
    with pytest.raises(ValueError, match="delay restores frame by frame"):
        streaming.restore(delay(), clip(2), look_ahead=4)
    with pytest.raises(ValueError, match=r"mean is bidirectional.*Leave strategy out"):
        streaming.restore(Mean(), clip(2), "burst")


@pytest.mark.parametrize("bad", [7, 20])
def test_a_frame_of_another_size_is_named(bad):
    frames = list(clip(30))
    frames[bad] = np.zeros((6, 4, 3), np.float32)
    with pytest.raises(
        ValueError, match=f"frame {bad} is 4x6, those before it are 6x4"
    ):
        list(streaming.restore(Mean(), frames))


def test_no_frames():
    with pytest.raises(ValueError, match="at least one"):
        list(streaming.restore(Mean(), []))
