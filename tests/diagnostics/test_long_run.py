"""The long run: does it say what NumPy says of the same raw frames?

Tested, on hand-written models whose output is known in closed form: PSNR, events,
onsets and deciles of one that grows, by itself and with others in a batch, with and
without a window, with and without a reference; one that drifts to a wrong bounded
value, one that comes back, one that stays, one of NaN, one that saturates, one whose
state runs away behind sound frames; video that gets harder; noise; a run that was
broken off; every form of frames; bad input; the picture. A real model against its own
steps.
Not tested: whether public models drift (they are not here), speed.
"""

import importlib

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from stablevid_tf import models
from stablevid_tf.cells import RecurrentVideoCell
from stablevid_tf.diagnostics.long_run_state import _Curve

# The room gives the function; the module of that name holds the settings.
module = importlib.import_module("stablevid_tf.diagnostics.long_run")
long_run = module.long_run


class Growing(RecurrentVideoCell):
    """``frame + s``, where ``s`` grows with the frame's mean from 0.01 on."""

    def initial_state(self, frame):
        return ops.full((ops.shape(frame)[0], 1, 1, 1), 0.01)

    def call(self, frames, state):
        frame = self.centre(frames)
        rate = ops.mean(frame, axis=(1, 2, 3), keepdims=True)
        return frame + state, state * (1 + 0.4 * rate)


class Written:
    """A model written as ``out(frame, n)``, ``n`` being the frames seen before."""

    name = "written"

    def __init__(self, out, scale=1):
        self.out = out
        self.scale = scale

    def initial_state(self, frame):
        return ops.zeros((ops.shape(frame)[0], 1, 1, 1))

    def step(self, frame, state):
        return self.out(frame, state), state + 1


def scenes(frames, batch=2, side=8):
    """Random videos [B, T, side, side, 3], every one darker than the one before."""
    noise = np.random.default_rng(0).random((batch, frames, side, side, 3), "float32")
    return noise / np.arange(1, batch + 1, dtype="float32")[:, None, None, None, None]


def in_time(clips):
    """[B, T, ...] as a list of T batches."""
    return list(np.moveaxis(clips, 1, 0))


def psnr(a, b):
    error = np.mean((np.float64(a) - np.float64(b)) ** 2, axis=(-3, -2, -1))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)


def growing(frames):
    """What Growing does: PSNR [T, B], events (frame, sequence, onset)."""
    curve, events = [], []
    s = np.full(len(frames), 0.01)
    since = np.zeros(len(frames), int)
    for t, frame in enumerate(in_time(frames)):
        curve.append(-20 * np.log10(s))
        since += 1
        lost = s > 1
        events += [(t, b, since[b]) for b in np.flatnonzero(lost)]
        s = np.where(lost, 0.01, s * (1 + 0.4 * frame.mean((1, 2, 3))))
        since[lost] = 0
    return np.array(curve), np.array(events)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("arguments", [{}, {"sigma": 0}])
def test_divergence(batch, window, arguments):
    frames = scenes(130, batch)
    run = long_run(Growing(window=window), frames, **arguments)
    latency = window // 2
    curve, events = growing(frames[:, : 130 - latency])
    assert len(events) > 2 * batch
    # float32 frames: an error of 1e-7 under 0.01.
    np.testing.assert_allclose(run.psnr, curve, atol=1e-3)
    np.testing.assert_array_equal(run.events, events[:, :2])
    np.testing.assert_array_equal(run.onsets, events[:, 2])
    np.testing.assert_allclose(run.deciles, np.quantile(events[:, 2], [0.1, 0.9]))
    assert (run.verdict, run.frames, run.stride) == ("diverges", 130 - latency, 1)
    assert not run.bounded
    assert run.nonfinite == 0
    assert f"divergences: {len(events)}" in run.summary()


def test_without_a_divergence_the_onset_is_infinite():
    run = long_run(Written(lambda frame, n: frame), scenes(50), sigma=0)
    assert run.deciles == (np.inf, np.inf)
    assert np.all(run.psnr == np.inf)
    assert run.verdict == "stable"


def test_not_a_number_from_the_first_frame_on():
    run = long_run(Written(lambda frame, n: frame * np.nan), scenes(50, 2))
    assert run.verdict == "diverges"
    assert run.nonfinite == 100
    np.testing.assert_array_equal(run.onsets, np.ones(100))
    assert "100 frames held a NaN" in run.summary()


def test_overflow_in_one_sequence_alone():
    def out(frame, n):
        first = ops.reshape(ops.arange(2, dtype="float32"), (2, 1, 1, 1)) == 0
        return ops.where(first & (n == 30), np.inf, frame)

    run = long_run(Written(out), scenes(70, 2))
    # Frames 0...30, then 31...61 after the reset.
    np.testing.assert_array_equal(run.events, [[30, 0], [61, 0]])
    np.testing.assert_array_equal(run.onsets, [31, 31])
    assert run.nonfinite == 2
    assert np.isneginf(run.psnr[30, 0])
    assert np.all(run.psnr[:, 1] == np.inf)


def wrong(frame, n):
    """Ever more of a flat grey."""
    share = 1 - 0.98**n
    return (1 - share) * frame + share / 2


@pytest.mark.parametrize("reference", [True, False])
def test_drift(reference):
    scene = np.random.default_rng(0).random((8, 8, 3)).astype("float32")
    run = long_run(Written(wrong), [scene] * 210, [scene] * 210 if reference else None)

    def at(n):
        share = 1 - 0.98**n
        return (1 - share) * np.float64(scene) + share / 2

    # Bursts of ten: from frame 10, 20, 30, 40, and then a quarter further each.
    starts = [10, 20, 30, 40, 50, 62, 77, 96, 120, 150, 187]
    probed = np.array(starts) + 9
    np.testing.assert_array_equal(run.probed, probed)
    if reference:
        # The tenth frame from a zero state.
        fresh = np.full(len(probed), psnr(at(9), scene))
        fall = fresh - [psnr(at(n), scene) for n in probed]
    else:
        fresh = np.array([psnr(at(9), at(n)) for n in probed])
        fall = min(40.0, fresh[0]) - fresh
    np.testing.assert_allclose(run.fresh[:, 0], fresh, atol=1e-3)
    np.testing.assert_allclose(run.fall[:, 0], fall, atol=2e-3)
    wanted = [psnr(at(n), scene) for n in range(210)]
    np.testing.assert_allclose(run.psnr[1:, 0], wanted[1:], atol=1e-3)
    assert run.drop == (3 if reference else 10)
    assert run.verdict == "drifts"
    assert run.bounded
    assert "cannot fall below 0" in run.summary()
    said = f"{np.median(fall[-3:]):.2f} dB below"
    if not reference:
        said = f"{np.median(fresh[-3:]):.1f} dB; below {min(40, fresh[0]) - 10:.1f} dB"
    assert said in run.summary()
    # The rule is the argument's: one dB more than was lost is no drift.
    tolerant = np.median(fall[-3:]) + 1
    frames = [scene] * 210
    again = long_run(
        Written(wrong), frames, frames if reference else None, drop=tolerant
    )
    assert again.verdict == "stable"


def test_one_sequence_that_drifts_is_enough():
    def out(frame, n):
        second = ops.reshape(ops.arange(2, dtype="float32"), (2, 1, 1, 1)) == 1
        return ops.where(second, wrong(frame, n), frame)

    assert long_run(Written(out), scenes(150, 2), sigma=0).verdict == "drifts"


@pytest.mark.parametrize("frames, verdict", [(100, "drifts"), (160, "stable")])
def test_what_returns_by_the_end_is_no_drift(frames, verdict):
    def out(frame, n):
        return frame + ops.where((n > 60) & (n < 120), 0.3, 0.01)

    assert long_run(Written(out), scenes(frames), sigma=0).verdict == verdict


def test_video_that_gets_harder_is_no_drift():
    clean = scenes(300, 1)
    noise = np.random.default_rng(1).standard_normal(clean.shape, "float32")
    level = np.linspace(0.01, 0.3, 300, dtype="float32")[:, None, None, None]
    noisy = clean + level * noise
    run = long_run(Written(lambda frame, n: frame + 0.001 / (n + 1)), noisy, clean)
    assert run.psnr[:20].mean() - run.psnr[-20:].mean() > 20
    assert np.abs(run.fall).max() < 0.5
    assert run.verdict == "stable"


def test_a_memory_longer_than_the_burst_is_no_drift():
    # A running mean of noisy frames: better and better, away from the fresh output.
    class Mean(Written):
        def initial_state(self, frame):
            return {"mean": ops.zeros_like(frame), "n": ops.zeros(())}

        def step(self, frame, state):
            n = state["n"] + 1
            mean = state["mean"] + (frame - state["mean"]) / n
            return mean, {"mean": mean, "n": n}

    still = np.full((16, 16, 3), 0.5, "float32")
    noise = np.random.default_rng(0).standard_normal((400, 16, 16, 3)).astype("float32")
    noisy = still + noise * np.float32(30 / 255)
    assert long_run(Mean(None), noisy, [still] * 400).verdict == "stable"
    assert long_run(Mean(None), noisy).verdict == "stable"


@pytest.mark.parametrize("ceiling, verdict", [(1.0, "drifts"), (0.95, "stable")])
def test_saturation_decides_where_a_fall_alone_does_not(ceiling, verdict):
    # Up to 0.3 from the truth: 10 dB, where the fresh frame has 0.09.
    def out(frame, n):
        return ops.clip(frame + 0.01 * n, 0, ceiling)

    scene = np.full((8, 8, 3), 0.7, "float32")
    run = long_run(Written(out), [scene] * 100, sigma=0, drop=25)
    fall = psnr(scene + 0.09, scene) - psnr(np.full_like(scene, ceiling), scene)
    np.testing.assert_allclose(run.fall[-1], fall, atol=1e-3)
    assert 25 / 3 < fall < 25
    assert run.verdict == verdict
    np.testing.assert_array_equal(run.saturation[[0, -1], 0], [0, ceiling == 1])
    np.testing.assert_array_equal(run.excess[[0, -1], 0], [0, ceiling == 1])


@pytest.mark.parametrize(
    "frames, rate, verdict",
    [(60, 2, "drifts"), (60, 1, "stable"), (60, 1.25, "stable")],
)
def test_a_state_that_runs_away_behind_sound_frames_is_drift(frames, rate, verdict):
    # After n frames rate^n times (1, 3); of the fresh one ten frames. A comparison of
    # two: the second sequence tells nothing else than the first.
    class Hidden(Written):
        def initial_state(self, frame):
            return ops.reshape(ops.convert_to_tensor([1.0, 3.0]), (2, 1, 1, 1))

        def step(self, frame, state):
            return frame, rate * state

    run = long_run(Hidden(None), scenes(frames))
    seen = (run.probed + 1).astype(float)
    assert len(seen) == frames // 10 - 1
    expected = np.stack([rate ** (seen - 10)] * 2, axis=1)
    # 60 products in float32, each within 6e-8.
    np.testing.assert_allclose(run.growth, expected, rtol=4e-6)
    assert run.verdict == verdict and not len(run.onsets)
    assert ("grows without end" in run.summary()) == (verdict == "drifts")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_state_of_no_numbers_has_run_away(bad):
    class Hidden(Written):
        def step(self, frame, state):
            return frame, ops.where(state > 24, bad, state + 1)

    run = long_run(Hidden(None), scenes(60))
    np.testing.assert_array_equal(run.growth[:, 0], [2, np.inf, np.inf, np.inf, np.inf])
    assert run.verdict == "drifts"


def test_counted_frames_have_not_run_away():
    run = long_run(Written(lambda frame, n: frame), scenes(60))
    np.testing.assert_allclose(run.growth[:, 0], [2, 3, 4, 5, 6], rtol=1e-12)
    assert (
        run.verdict == "stable" and "is 5 times that in a fresh one." in run.summary()
    )


def test_saturation_counts_what_8_bits_write_as_a_bound():
    half = 0.5 / 255
    values = np.array(
        [-1, 0, 0.9 * half, 1.1 * half, 1 - 1.1 * half, 1 - 0.9 * half, 2]
    )
    frame = np.tile(np.float32(values)[:, None, None], (1, 8, 1))
    model = Written(lambda frame, n: frame)
    model.channels = 1
    run = long_run(model, [frame] * 50)
    np.testing.assert_allclose(run.saturation, 5 / 7, rtol=1e-6)


def test_noise_is_of_the_seed_and_the_frame_alone():
    clean = np.full((60, 32, 32, 3), 0.5, "float32")
    model = Written(lambda frame, n: frame)
    run = long_run(model, clean, sigma=30)
    # 3,072 values a frame: the mean square is right to 8 % (three deviations).
    np.testing.assert_allclose(run.psnr, -20 * np.log10(30 / 255), atol=0.35)
    assert len(np.unique(run.psnr)) == 60
    np.testing.assert_array_equal(long_run(model, clean, sigma=30).psnr, run.psnr)
    other = long_run(model, clean, sigma=30, seed=1)
    assert not (other.psnr == run.psnr).any()
    # A reference of one's own: noise is still added.
    with_own = long_run(model, clean, clean, sigma=30)
    np.testing.assert_array_equal(with_own.psnr, run.psnr)


def test_a_model_that_enlarges():
    def out(frame, n):
        large = ops.repeat(ops.repeat(frame, 2, axis=1), 2, axis=2)
        return large + 0.1

    frames, model = scenes(50), Written(out, scale=2)
    large = frames.repeat(2, 2).repeat(2, 3) + 0.2
    np.testing.assert_allclose(long_run(model, frames).psnr, 20, atol=1e-4)
    run = long_run(model, frames, large)
    np.testing.assert_allclose(run.psnr, 20, atol=1e-4)


@pytest.mark.parametrize("window", [1, 3])
def test_a_real_model_against_its_own_steps(window):
    keras.utils.set_random_seed(0)
    name = "vresnet_feat" if window == 1 else "vresnet_feat_mf3"
    model = models.build(name, features=4, blocks=1)
    frames, latency = scenes(55), window // 2
    run = long_run(model, frames, sigma=0)
    state, restored = model.initial_state(frames[:, 0]), []
    for frame in in_time(frames):
        out, state = model.step(frame, state)
        restored.append(ops.convert_to_numpy(out))
    wanted = psnr(restored[latency:], in_time(frames)[: 55 - latency])
    np.testing.assert_allclose(run.psnr, wanted, atol=1e-3)
    # Frame 24 is in the third burst or the second: from frame 20 or 21 - on.
    # The tenth frame from a zero state, seen `latency` frames ahead.
    at = run.probed[1]
    state = model.initial_state(frames[:, at - 9])
    for frame in in_time(frames)[at - 9 : at + latency + 1]:
        out, state = model.step(frame, state)
    wanted = psnr(ops.convert_to_numpy(out), frames[:, at])
    np.testing.assert_allclose(run.fresh[1], wanted, atol=1e-3)


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(
    tmp_path, monkeypatch, window, policy
):
    class Cell(Growing):
        def initial_state(self, frame):
            return ops.cast(super().initial_state(frame), policy)

        def call(self, frames, state):
            out, state = super().call(frames, ops.cast(state, "float32"))
            return out, ops.cast(state, policy)

    monkeypatch.setattr(module, "_SAVE_EVERY", 35)  # in the midst of a burst
    frames, path = scenes(120), tmp_path / "run.npz"
    whole = long_run(Cell(window=window, name="cell"), frames, sigma=20)

    def broken():
        yield from in_time(frames)[:83]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        long_run(Cell(window=window, name="cell"), broken(), sigma=20, checkpoint=path)
    with np.load(path) as file:
        assert file["counts"][0] == 70
    resumed = long_run(
        Cell(window=window, name="cell"), frames, sigma=20, checkpoint=path
    )
    done = long_run(Cell(window=window, name="cell"), frames, sigma=20, checkpoint=path)
    assert len(whole.onsets) > 2
    for run in (resumed, done):
        for field, value in vars(whole).items():
            np.testing.assert_array_equal(getattr(run, field), value, err_msg=field)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    frames, path = scenes(60), tmp_path / "run.npz"
    model = models.build("vresnet_feat", features=4, blocks=1)
    long_run(model, frames, sigma=20, checkpoint=path)
    with pytest.raises(ValueError, match="another run: different sigma"):
        long_run(model, frames, sigma=21, checkpoint=path)
    with pytest.raises(ValueError, match="first frame"):
        long_run(model, 1 - frames, sigma=20, checkpoint=path)
    with pytest.raises(ValueError, match="already holds 60 frames"):
        long_run(model, frames[:, :55], sigma=20, checkpoint=path)
    kernel = model.weights[0]
    kernel.assign(kernel + 1e-6)
    with pytest.raises(ValueError, match="weights"):
        long_run(model, frames, sigma=20, checkpoint=path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="damaged"):
        long_run(model, frames, sigma=20, checkpoint=path)


def test_memory_is_bounded_and_the_worst_frame_stays():
    values = np.random.default_rng(0).random((1000, 2))
    curve = _Curve(np.minimum, limit=16)
    for value in values:
        curve.append(value)
        assert len(curve.points()) <= 16
    assert curve.stride == 64
    blocks = [values[i : i + 64].min(0) for i in range(0, 1000, 64)]
    np.testing.assert_array_equal(curve.points(), blocks)
    again = _Curve(np.minimum, limit=16)
    again.restore(**curve.arrays())
    again.append(np.zeros(2))
    np.testing.assert_array_equal(again.points(), [*blocks[:-1], np.zeros(2)])


def test_forms_of_frames(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), "uint8")
    for t, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{t}.png")
    frames = pictures / np.float32(255)
    model = Growing()
    wanted = long_run(model, frames).psnr
    for form in (tmp_path, str(tmp_path), iter(frames), frames[None], list(frames)):
        np.testing.assert_array_equal(long_run(model, form, form_of(form)).psnr, wanted)


def form_of(form):
    """The reference in the same form, where the form can be read twice."""
    return None if hasattr(form, "__next__") else form


def test_plot(tmp_path):
    run = long_run(Growing(), scenes(130), sigma=0)
    run.plot(tmp_path / "run.png")
    picture = np.asarray(Image.open(tmp_path / "run.png").convert("RGB"))
    for colour in ("1f77b4", "ff7f0e", "2ca02c"):  # curve, fresh states, onsets
        rgb = list(bytes.fromhex(colour))
        assert (np.abs(picture.astype(int) - rgb).max(-1) < 40).any()


@pytest.mark.parametrize(
    "frames, arguments, message",
    [
        (scenes(49), {}, "at least 50 frames.*Received: 49"),
        ([], {}, "Received: 0"),
        (scenes(50)[..., :2], {}, r"frame 0 must be \[height, width, 3\]"),
        (np.zeros((50, 8, 8, 3), "uint8"), {}, "Divide by 255"),
        (255 * scenes(50), {}, "give or take noise"),
        (scenes(50) * np.nan, {}, "nan"),
        ([*in_time(scenes(3)), *in_time(scenes(3, 1))], {}, "frame 3 must be of shape"),
        (scenes(50), {"reference": scenes(40)}, "ends before frame 40"),
        (scenes(50), {"reference": scenes(50, 1)}, "reference 0 must be of shape"),
        (scenes(50), {"sigma": -1}, "between 0 and 255"),
        (scenes(50), {"drop": 0}, "drop=0"),
    ],
)
def test_bad_input(frames, arguments, message):
    with pytest.raises(ValueError, match=message):
        long_run(Written(lambda frame, n: frame), frames, **arguments)


def test_no_reference_in_the_input_of_a_model_that_enlarges():
    with pytest.raises(ValueError, match="Give `reference`"):
        long_run(Written(None, scale=2), scenes(50), sigma=30)


def test_a_model_without_a_state_to_run():
    with pytest.raises(ValueError, match="recurrent"):
        long_run(keras.Sequential(), scenes(50))
