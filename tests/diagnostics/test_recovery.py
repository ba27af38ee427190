"""Recovery: does a model come back from the state that a field left?

Tested, on a linear model that NumPy runs beside it: PSNR with and without a reference,
with latency and scale, the first good frame; growth that never comes back; NaN; a
bounded state that stays in the wrong place; the rule's edges; a VResNet-feat with its
state slices scaled down and up. Bad input, and the picture.
Not tested: the field itself.
"""

import dataclasses
import importlib

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from stablevid_tf import models
from stablevid_tf.diagnostics.receptive_field import temporal_receptive_field
from stablevid_tf.models import dampened

# The room gives the function; the module of that name holds the result.
module = importlib.import_module("stablevid_tf.diagnostics.recovery")
recovery = module.recovery


class Leaky:
    """``h = a h + x``, ``y = (1 - a) h``, one frame late or not."""

    name, channels = "leaky", 3

    def __init__(self, a, latency=0, scale=1, bound=lambda h: h):
        self.a, self.latency, self.scale, self.bound = a, latency, scale, bound

    def initial_state(self, frame):
        return [ops.zeros_like(frame)] * (1 + self.latency)

    def step(self, frame, state):
        h = self.bound(self.a * state[0] + frame)
        queue = [h, *state[1:], h]
        y = (1 - self.a) * queue[1]
        y = ops.repeat(ops.repeat(y, self.scale, axis=1), self.scale, axis=2)
        return y, [h, *queue[2:]]


@dataclasses.dataclass
class Field:
    """What recovery takes of a field."""

    inputs: np.ndarray
    state: object


def left(model, value, shape=(4, 6, 3)):
    """A field whose state is ``value`` everywhere."""
    zero = model.initial_state(ops.zeros((1, *shape)))
    state = keras.tree.map_structure(
        lambda leaf: np.full(leaf.shape, value, "float32"), zero
    )
    return Field(np.zeros((1, *shape), "float32"), state)


def video(frames=60, shape=(4, 6, 3)):
    return np.random.default_rng(0).uniform(size=(frames, *shape)).astype("float32")


def run(a, frames, value):
    """NumPy: all outputs of ``Leaky`` from ``h = value``."""
    h, outputs = value, []
    for frame in frames.astype("float64"):
        h = a * h + frame
        outputs.append((1 - a) * h)
    return np.stack(outputs)


def psnr(a, b):
    return -10 * np.log10(((a - b) ** 2).mean(axis=(1, 2, 3)))


@pytest.mark.parametrize("latency, scale", [(0, 1), (1, 1), (0, 2)])
def test_psnr_and_the_first_good_frame(latency, scale):
    frames, model = video(), Leaky(0.8, latency, scale)
    large = frames.repeat(scale, 1).repeat(scale, 2)
    found = recovery(model, left(model, 50.0), iter(frames), iter(large))
    harmed, fresh = run(0.8, frames, 50.0), run(0.8, frames, 0.0)
    np.testing.assert_allclose(found.psnr, psnr(harmed, frames), atol=1e-3)
    np.testing.assert_allclose(found.psnr_from_zero, psnr(fresh, frames), atol=1e-3)
    good = psnr(harmed, frames) >= psnr(fresh, frames) - 0.1
    assert found.frames_needed == 60 - np.argmin(good[::-1])
    assert 0 < found.frames_needed < 40 and found.verdict == "recovers"
    assert f"From frame {found.frames_needed} on" in found.summary()


def test_without_a_reference_the_outputs_must_agree():
    found = recovery(Leaky(0.8), left(Leaky(0.8), 50.0), video())
    # The difference is 0.2 * 50 * 0.8^(t + 1), whatever the frames.
    wanted = -20 * np.log10(10 * 0.8 ** np.arange(1, 61))
    np.testing.assert_allclose(found.psnr[:40], wanted[:40], atol=0.05)
    assert found.psnr_from_zero is None
    assert found.frames_needed == np.argmax(wanted >= 60)
    assert "60 dB" in found.summary()


def test_a_tolerance_is_a_tolerance():
    frames = video()
    needed = [
        recovery(Leaky(0.8), left(Leaky(0.8), 50.0), frames, frames, t).frames_needed
        for t in (0.01, 0.1, 1.0)
    ]
    assert needed[0] > needed[1] > needed[2] > 0


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("a, value", [(1.3, 5.0), (0.5, np.nan), (1e3, 1.0)])
def test_what_never_comes_back(a, value, reference):
    frames = video(30)
    found = recovery(
        Leaky(a), left(Leaky(a), value), frames, frames if reference else None
    )
    assert not found.recovered and found.frames_needed is None
    assert found.verdict == "does not recover" and "there is none" in found.summary()


def test_a_wrong_bounded_state_is_no_recovery():
    latch = Leaky(4.0, bound=ops.tanh)
    found = recovery(latch, left(latch, -100.0), 0.1 * video())
    assert not found.recovered and np.isfinite(found.psnr).all()


def test_an_unharmed_state_needs_no_frames():
    frames = video()
    assert recovery(Leaky(0.8), left(Leaky(0.8), 0.0), frames).frames_needed == 0
    found = recovery(Leaky(0.8), left(Leaky(0.8), 0.0), frames, frames)
    assert found.frames_needed == 0


def test_the_last_tenth_must_be_good():
    zero = np.full(20, 30.0)
    result = lambda psnr: module.RecoveryResult("m", psnr, zero, 0.1)  # noqa: E731
    for bad, needed in ((17, 18), (18, None), (19, None)):
        harmed = zero.copy()
        harmed[bad] = 29.89
        assert result(harmed).frames_needed == needed
    assert result(zero - 0.09).frames_needed == 0
    harmed[5] = np.nan
    assert result(np.where(np.arange(20) == 5, np.nan, zero)).frames_needed == 6


@pytest.mark.parametrize(
    "factor, verdict", [(0.2, "recovers"), (8, "does not recover")]
)
@pytest.mark.parametrize("name", ["vresnet_feat", "vresnet_feat_mf3"])
def test_a_field_and_a_real_model(name, factor, verdict, tmp_path):
    keras.utils.set_random_seed(0)
    model = dampened(models.build(name, features=6, blocks=2), factor)
    field = temporal_receptive_field(model, tau=12, size=12, iterations=20)
    frames = video(40, (12, 12, 3))
    for reference in (None, frames):
        found = recovery(model, field, frames, reference)
        assert found.verdict == verdict
        found.plot(tmp_path / "recovery.png")
        with Image.open(tmp_path / "recovery.png") as picture:
            assert picture.width > 2 * picture.height


def test_bad_input():
    model = Leaky(0.5)
    field, frames = left(model, 0.0), video(5)
    with pytest.raises(ValueError, match="`frames` is empty"):
        recovery(model, field, [])
    with pytest.raises(ValueError, match=r"Frame 0 must.*\(4, 6, 3\).*Crop the"):
        recovery(model, field, video(5, (6, 6, 3)))
    with pytest.raises(ValueError, match="Frame 0 must be floating"):
        recovery(model, field, frames.astype("uint8"))
    with pytest.raises(ValueError, match="reference ended after 3"):
        recovery(model, field, frames, frames[:3])
    with pytest.raises(ValueError, match="Frame 0 of the reference"):
        recovery(model, field, frames, video(5, (8, 12, 3)))
    with pytest.raises(ValueError, match="a field of the same model"):
        recovery(Leaky(0.5, latency=1), field, frames)
    with pytest.raises(ValueError, match="needs a recurrent model"):
        recovery(models.build("vresnet_birlsp", features=4, blocks=1), field, frames)
