"""Burst by burst, with and without overlap.

Tested: equal to whole-clip calls put together by hand, for models with and without
look-ahead; videos shorter than a burst; that frames are asked for one at a time; bad
arguments.
Not tested: what bursts do for the quality of a trained model.
"""

import itertools

import keras
import numpy as np
import pytest

from stablevid_tf import models, streaming

# The paper's own count of frames, from 1: appendix E.
FIRST_COPY = [*range(1, 11), *range(16, 21), *range(26, 31)]
SECOND_COPY = [*range(11, 16), *range(21, 26)]


def clip(count, shape=(12, 16, 3)):
    return np.random.default_rng(0).random((count, *shape), np.float32)


def pieces(model, frames, starts):
    """Whole-clip calls on frames[start : next start], put together."""
    ends = [*starts[1:], len(frames)]
    called = [
        model.predict(frames[None, a:b], verbose=0)[0]
        for a, b in zip(starts, ends, strict=True)
        if a < b
    ]
    return np.concatenate(called)


@pytest.fixture(scope="module", params=["vresnet_feat", "vdncnn_rlsp_mf7"])
def model(request):
    keras.utils.set_random_seed(0)
    stages = {"blocks": 1} if "vresnet" in request.param else {"depth": 2}
    return models.build(request.param, features=4, **stages)


def test_bursts_are_clips_of_their_own(model):
    frames = clip(23)
    out = list(streaming.restore(model, frames, "burst"))
    # Streamed and called whole, the same sums in another order.
    np.testing.assert_allclose(out, pieces(model, frames, [0, 10, 20]), atol=1e-5)
    alone = [o for a in (0, 10, 20) for o in streaming.restore(model, frames[a:][:10])]
    np.testing.assert_array_equal(out, alone)
    whole = model.predict(frames[None], verbose=0)[0]
    assert np.abs(out[10] - whole[10]).max() > 1e-2


def test_overlap_takes_the_older_copy(model):
    frames = clip(30)
    out = np.stack(list(streaming.restore(model, frames, "overlap")))
    first = pieces(model, frames, [0, 10, 20])
    second = np.concatenate([frames[:5], pieces(model, frames[5:], [0, 10, 20])])
    for copy, numbers in ((first, FIRST_COPY), (second, SECOND_COPY)):
        at = np.array(numbers) - 1
        np.testing.assert_allclose(out[at], copy[at], atol=1e-5)
    assert sorted(FIRST_COPY + SECOND_COPY) == list(range(1, 31))
    assert np.abs(first - second).max() > 1e-2


@pytest.mark.parametrize("strategy", ["burst", "overlap", streaming.Overlap(4)])
@pytest.mark.parametrize("count", [1, 4, 5, 6, 11])
@pytest.mark.parametrize("latency", [0, 3])
def test_every_frame_goes_out_in_order(delay, strategy, count, latency):
    frames = clip(count)
    out = list(streaming.restore(delay(latency), frames, strategy))
    np.testing.assert_array_equal(out, frames)


def test_bursts_begin_at_zero(delay):
    model = delay()
    list(streaming.restore(model, clip(7), streaming.Burst(3)))
    assert model.started == 3
    list(streaming.restore(model, clip(7), streaming.Overlap(4)))
    # At frames 0 and 4, and of the other copy at 2 and 6.
    assert model.started == 3 + 4


@pytest.mark.parametrize("strategy", ["burst", "overlap"])
def test_frames_are_asked_for_one_at_a_time(delay, strategy):
    taken = []
    frames = (taken.append(i) or f for i, f in enumerate(itertools.repeat(clip(1)[0])))
    restored = streaming.restore(delay(), frames, strategy)
    for count in range(1, 25):
        next(restored)
        assert len(taken) == count


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: streaming.Burst(0), "1 or more. Received: frames=0"),
        (lambda: streaming.Burst(2.5), "Received: frames=2.5"),
        (lambda: streaming.Overlap(5), "must be an even integer"),
        (lambda: streaming.Overlap(0), "must be an even integer"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
