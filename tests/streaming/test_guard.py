"""The guard: a watched state.

Tested: on stand-ins whose failure is known by arithmetic, the very frame at which it
steps in, and what goes out then; a real model with its recurrent slices scaled up
until it diverges; that a stable model is left alone, bit for bit; scene cuts; frames
that are not finite; look-ahead; bad arguments.
Not tested: ten thousand frames and the cost (benchmarks/guard.py).
"""

import keras
import numpy as np
import pytest
import scipy.ndimage

from stablevid_tf import models, streaming, zoo
from stablevid_tf.layers.loop import ConvSlice, around
from stablevid_tf.models import dampened
from stablevid_tf.models.dampened import can_dampen
from stablevid_tf.streaming import guard as guard_room

SHAPE = (16, 24, 3)


def video(count, shape=SHAPE, sigma=30 / 255, seed=0):
    """(clean, noisy): soft blobs of eight pixels that pan by one every fourth frame."""
    random = np.random.default_rng(seed)
    height, width, channels = shape
    coarse = random.random((height // 8 + 1, (width + count) // 8 + 2, channels))
    wide = np.clip(scipy.ndimage.zoom(coarse, (8, 8, 1)), 0, 1)[:height]
    clean = [wide[:, t // 4 : t // 4 + width].astype("float32") for t in range(count)]
    noise = sigma * random.normal(size=(count, *shape))
    return clean, [(c + n).astype("float32") for c, n in zip(clean, noise, strict=True)]


class Growing:
    """Its state grows by `growth` a frame from 1; `wrong(age)` is added to a frame.

    It looks ahead by `latency` frames, and counts its steps.
    """

    name, channels, scale = "growing", 3, 1

    def __init__(self, growth=1.0, wrong=lambda age: 0.0, latency=0):
        self.growth, self.wrong, self.latency, self.steps = growth, wrong, latency, 0

    def initial_state(self, frame):
        return [np.ones_like(frame), *[np.zeros_like(frame)] * self.latency]

    def step(self, frame, state):
        self.steps += 1
        level, *waiting = state
        age = round(np.log(level.max()) / np.log(self.growth)) if level.max() > 1 else 0
        first, *waiting = [*waiting, np.asarray(frame)]
        out = first + np.float32(self.wrong(age))
        return out, [level * np.float32(self.growth), *waiting]


def restored(model, frames, guard):
    out = np.stack(list(streaming.restore(model, frames, guard)))
    assert len(out) == len(frames) and np.isfinite(out).all()
    return out


@pytest.mark.parametrize("latency", [0, 2])
@pytest.mark.parametrize("burn_in", [1, 3, 7])
def test_steps_in_when_the_state_has_left_its_range(burn_in, latency):
    growth = 1.2
    guard = streaming.Guard(factor=3.0, burn_in=burn_in)
    model = Growing(growth, lambda age: 0, latency)
    _, frames = video(60)
    np.testing.assert_array_equal(restored(model, frames, guard), frames)
    # A burst of n + latency steps reaches growth^(n + latency); so the first level
    # above three times that is log(3) / log(growth) steps later, rounded up, and is
    # seen at the next fourth step.
    burst = burn_in + 1 + latency
    life = burst + int(np.ceil(np.log(3) / np.log(growth)))
    expected, age, looks, gap = [], 0, 0, 2 * (burn_in + 1)
    look = gap
    for step in range(60 + latency):
        age += 1
        if step == look and not latency:
            looks, gap = looks + 1, 2 * gap
            look += gap
        if age >= life and step % 4 == 0:
            expected.append((step - latency, "state out of range"))
            age, gap = burst, 2 * (burn_in + 1)
            look = step + gap
    assert guard.events == expected
    assert len(expected) > 3
    # It grows by more than a tenth every frame: a check, which is a burst and the
    # frame by itself, at each fourth but those of the first burst.
    steps = 60 + latency
    checks = len([step for step in range(burst, steps) if step % 4 == 0])
    assert model.steps == steps + (burst + 1 + latency) * checks + looks


def test_the_frame_goes_out_as_the_fresh_burst_restores_it():
    # Off by its age: the burst's last frame is off by 0.007.
    model = Growing(1.5, lambda age: 0.001 * age)
    guard = streaming.Guard(factor=3.0, burn_in=7)
    _, frames = video(40)
    off = (restored(model, frames, guard) - frames).mean((1, 2, 3))
    ages = np.round(off / 0.001).astype(int)
    # 3 = 1.5^2.7: ten frames, and those up to the next that is watched.
    life = [*range(12), 7, 8, 9, 10, 7]
    np.testing.assert_array_equal(ages[: len(life)], life)
    frames_of_events = [frame for frame, _ in guard.events]
    np.testing.assert_array_equal(ages[frames_of_events], 7)
    assert max(ages) == 11


def test_a_bounded_wrong_picture_is_seen_too():
    # Settles at 0.3 off, from age 20 on; its state does not tell.
    wrong = lambda age: 0.3 * np.clip((age - 10) / 10, 0, 1)  # noqa: E731
    clean, frames = video(80, sigma=0.01)
    unguarded = np.stack(list(streaming.restore(Growing(1.0001, wrong), frames)))
    assert abs(unguarded[-1] - clean[-1]).mean() > 0.29
    guard = streaming.Guard()
    out = restored(Growing(1.0001, wrong), frames, guard)
    assert {reason for _, reason in guard.events} == {"picture off the input"}
    # Twice the least difference, a hundredth, and a step of 0.03.
    assert abs(out - clean).mean((1, 2, 3)).max() < 0.06


@pytest.mark.parametrize("drift, harm", [(4e-5, False), (4e-4, True)])
def test_a_slow_drift_of_a_model_that_looks_ahead_is_found_at_a_check(drift, harm):
    # Below what levels can tell, 0.02; up to 0.003 or 0.016 off at a check, against
    # the harmless 1/255.
    guard = streaming.Guard(check_every=40)
    frames = [f - c + 0.5 for c, f in zip(*video(100), strict=True)]
    model = Growing(1.0001, lambda age: drift * age, latency=1)
    off = (restored(model, frames, guard) - frames).mean((1, 2, 3))
    # The step that restores frame f is number f + 1; a burst's last step is its ninth.
    expected = [(f, "memory does harm") for f in (38, 78)] if harm else []
    assert guard.events == expected
    ages = [*range(1, 39), *range(8, 48), *range(8, 30)] if harm else range(1, 101)
    np.testing.assert_allclose(off, drift * np.array(ages), atol=1e-6)
    assert model.steps == 101 + 2 * (9 + 2)


def test_a_slow_drift_is_found_at_the_next_look():
    guard = streaming.Guard(check_every=40)
    _, frames = video(100, sigma=0.01)
    model = Growing(1.0001, lambda age: 6e-4 * age)
    off = (restored(model, frames, guard) - frames).mean((1, 2, 3))
    # Looks after 16 frames: 0.01 off by then, the burst 0.004.
    assert guard.events == [(f, "memory does harm") for f in range(16, 100, 16)]
    ages = [*range(16), *5 * [*range(7, 23)], *range(7, 11)]
    np.testing.assert_allclose(off, 6e-4 * np.array(ages), atol=1e-6)
    # Each look became a check.
    assert model.steps == 100 + 6 * (1 + 9)


def test_harm_is_found_while_the_state_grows_slowly():
    # Stripes, which no block mean tells; the state is a tenth up after ten frames, and
    # every fourth is watched.
    stripes = 0.001 * (-1) ** np.arange(SHAPE[1])[:, None]
    guard = streaming.Guard()
    _, frames = video(45)
    restored(Growing(1.01, lambda age: age * stripes), frames, guard)
    assert guard.events == [(f, "memory does harm") for f in (16, 28, 40)]


def test_memory_that_helps_is_kept_at_every_check():
    class Mean:
        """The mean of all frames so far: the longer its memory the better."""

        name, channels, scale, latency = "mean", 3, 1, 0

        def initial_state(self, frame):
            return (np.zeros_like(frame), np.zeros((1, 1, 1, 1), np.float32))

        def step(self, frame, state):
            total, count = state[0] + np.asarray(frame), state[1] + 1
            return total / count, (total, count)

    guard = streaming.Guard(factor=100.0, check_every=10)
    still = [f - c + 0.5 for c, f in zip(*video(120), strict=True)]
    truth = np.cumsum(still, 0) / np.arange(1, 121)[:, None, None, None]
    np.testing.assert_allclose(restored(Mean(), still, guard), truth, atol=1e-5)
    assert guard.events == []


def test_content_that_changes_is_no_failure():
    class Bright:
        """The state is the frame itself."""

        name, channels, scale, latency, steps = "bright", 3, 1, 0, 0

        def initial_state(self, frame):
            return (np.zeros_like(frame),)

        def step(self, frame, state):
            self.steps += 1
            return frame, (np.asarray(frame),)

    model, guard = Bright(), streaming.Guard()
    frames = [np.full(SHAPE, 0.01 * 1.02**t, np.float32) for t in range(230)]
    np.testing.assert_array_equal(restored(model, frames, guard), frames)
    assert guard.events == []
    # A check whenever a tenth was added, 1.02^5, since the first burst: first at frame
    # 12, and of those watched every second one; three looks, at 16, 48 and 112.
    assert model.steps == 230 + 9 * len(range(12, 230, 8)) + 3


def test_what_memory_is_worth():
    # The truth x at 0, z off by 3/100 in one direction, out by 1/100 in another: the
    # nearest point of the line from z to out divides it 9 to 1.
    z, out, noise = np.zeros((3, 64, 64, 1), np.float32)
    z[:, ::2], out[:, 1::2] = 0.03, 0.01
    assert guard_room._worth(out, z, noise) == pytest.approx(0.9)
    assert guard_room._worth(z, out, noise) == pytest.approx(0.1)
    # The noise of the frame that stands for the truth adds no bias: the standard
    # error of a mean of 1,000 draws is 2 sigma |out - z| / (2 |out - z|^2) / sqrt(n).
    random = np.random.default_rng(0)
    draws = [
        guard_room._worth(out, z, 0.1 * random.normal(size=z.shape))
        for _ in range(1000)
    ]
    way = np.sqrt(np.mean((out - z) ** 2))
    error = 0.1 / way / 64
    assert np.std(draws) == pytest.approx(error, rel=0.1)
    assert np.mean(draws) == pytest.approx(0.9, abs=4 * error / np.sqrt(1000))
    assert guard_room._worth(out, out + 0.001, noise) == 1


def test_a_state_that_no_kernel_dampens_is_only_renewed():
    class Skipped(Growing):
        """Its state enters by a skip beside the convolution."""

        def loops(self):
            return [around("state", (ConvSlice(None),))]

    assert not can_dampen(Skipped())
    guard = streaming.Guard(burn_in=3)
    restored(Skipped(1.3), video(40)[1], guard)
    assert len(guard.events) > 3
    assert {reason for _, reason in guard.events} == {"state out of range"}


@pytest.fixture(scope="module")
def tiny():
    return zoo.load("tiny").fold()


def psnr(a, b):
    return -10 * np.log10(((np.stack(a) - b) ** 2).mean((1, 2, 3)))


def test_a_stable_model_is_left_alone(tiny):
    _, frames = video(500)
    guard = streaming.Guard()
    out = restored(tiny, frames, guard)
    assert guard.events == []
    np.testing.assert_array_equal(out, list(streaming.restore(tiny, frames)))


def test_a_diverging_model_is_brought_through(tiny):
    clean, frames = video(500, (32, 32, 3))
    unstable = dampened(tiny, 1.75)
    alone = np.stack(list(streaming.restore(unstable, frames[:200])))
    assert not np.abs(alone[-1]).max() < 1e6
    guard = streaming.Guard()
    quality = psnr(restored(unstable, frames, guard), clean)
    assert "dampened to 0.90" in {reason for _, reason in guard.events}
    # Scaled up it is no good denoiser any more; but every frame is better than its
    # noise, and on the whole memory still helps.
    assert (quality > psnr(frames, clean) + 3).all()
    single = psnr(list(streaming.restore(unstable, frames, streaming.Burst(1))), clean)
    assert quality.mean() > single.mean() + 0.3
    # A second run tells its own events, the same.
    events = list(guard.events)
    restored(unstable, frames, guard)
    assert guard.events == events


@pytest.mark.parametrize("name", ["vresnet_feat", "vresnet_rlsp_mf3"])
def test_a_scene_cut_begins_a_clip_of_its_own(name):
    keras.utils.set_random_seed(0)
    # Dampened: what is untrained may well go astray.
    model = dampened(models.build(name, features=4, blocks=2), 0.5)
    (_, before), (_, after) = video(20, seed=1), video(15, seed=2)
    guard = streaming.Guard()
    out = restored(model, before + after, guard)
    assert guard.events == [(20, "scene cut")]
    alone = [o for part in (before, after) for o in streaming.restore(model, part)]
    np.testing.assert_array_equal(out, alone)


@pytest.mark.parametrize("latency", [0, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_frame_goes_out_that_is_not_finite(bad, latency):
    wrong = lambda age: bad if age > 20 else 0  # noqa: E731
    guard = streaming.Guard(burn_in=4)
    _, frames = video(70)
    out = restored(Growing(1.0001, wrong, latency), frames, guard)
    np.testing.assert_array_equal(out, frames)
    # Twenty-one steps are good; a burst of five and the look-ahead are used up.
    first, period = 21 - latency, 21 - (5 + latency) + 1
    assert guard.events == [(f, "not finite") for f in range(first, 70, period)]


def test_if_the_burst_fails_too_the_frame_is_restored_by_itself():
    wrong = lambda age: np.nan if age > 3 else 0  # noqa: E731
    guard = streaming.Guard()
    _, frames = video(20)
    np.testing.assert_array_equal(
        restored(Growing(1.0001, wrong), frames, guard), frames
    )
    assert guard.events == [(f, "not finite") for f in range(4, 20, 4)]


def test_a_model_that_is_never_finite_says_so():
    never = Growing(1.0, lambda age: np.nan)
    with pytest.raises(ValueError, match="even for a frame restored by itself"):
        list(streaming.restore(never, video(2)[1], "guard"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"factor": 1.0}, "above 1"),
        ({"factor": float("nan")}, "above 1"),
        ({"burn_in": 0}, "burn_in must be 1 frame or more"),
        ({"check_every": 1.5}, "Received: check_every=1.5"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        streaming.Guard(**arguments)
