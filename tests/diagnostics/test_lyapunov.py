"""The Lyapunov rate: forward-mode products against what NumPy knows.

Tested: a linear model's rate (the logarithm of the spectral radius) and its growth at
every frame, exactly; a chaotic map's; VResNet-feat against finite differences in
float64, also with a window, whose frames are not perturbed; models without a state;
a state that overflows; integers in the state; signs that disagree; a VResNet-feat with
its state slices scaled down and up; reduced precision. Bad input, and the picture.
Not tested: that a video's rate says anything about another video.
"""

import importlib

import keras
import numpy as np
import pytest
import witness
from keras import ops
from PIL import Image

from stablevid_tf import models
from stablevid_tf.models import dampened

# The room gives the function; the module of that name holds the result.
module = importlib.import_module("stablevid_tf.diagnostics.lyapunov")
lyapunov = module.lyapunov


class Map:
    """``h = step(h) + sum of x``, and a count of frames that is an integer."""

    name = "map"

    def __init__(self, step, features=3, latency=0):
        self.map, self.features, self.latency = step, features, latency

    def initial_state(self, frame):
        maps = ops.ones((*frame.shape[:3], self.features))
        return {"count": ops.zeros((), "int32"), "h": maps}

    def step(self, frame, state):
        h = self.map(state["h"]) + ops.mean(frame, axis=-1, keepdims=True)
        return frame, {"count": state["count"] + 1, "h": h}


def video(frames=40, size=4, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(size=(frames, size, size, 3)).astype("float32")


def direction(shapes, seed=0):
    """The perturbation that the library starts from, of norm 1."""
    random = np.random.default_rng(seed)
    found = [random.standard_normal(shape) for shape in shapes]
    size = np.sqrt(sum((f**2).sum() for f in found))
    return [f / size for f in found]


@pytest.mark.parametrize("radius", [0.5, 0.97, 1.2])
def test_a_linear_model(radius):
    # Far from normal: the first frames grow whatever the radius.
    a = np.array([[radius, 3, 0], [0, 0.3, 2], [0, 0, -0.2]])
    found = lyapunov(Map(lambda h: ops.matmul(h, a.T.astype("float32"))), video(80))
    assert found.rate == pytest.approx(np.log(radius), abs=2e-3)
    assert found.verdict == ("contracts" if radius < 1 else "expands")
    (v,) = direction([(1, 4, 4, 3)])
    growth = []
    for _ in range(80):
        new = v @ a.T
        growth.append(np.log(np.linalg.norm(new)))
        v = new / np.linalg.norm(new)
    np.testing.assert_allclose(found.per_frame, growth, atol=1e-5)
    assert found.rate == pytest.approx(np.mean(growth[10:]), abs=1e-5)
    assert f"{found.rate:+.4f}" in found.summary()


def test_a_chaotic_map():
    chaos = Map(lambda h: 0.999 - 1.9 * ops.square(h), features=1)
    still = np.full((100, 1, 1, 3), 1e-3, "float32")
    found = lyapunov(chaos, still)
    # In float32 the orbit soon is another than in float64: the model's own is taken.
    state, stretched = chaos.initial_state(still[:1]), []
    for frame in still:
        stretched.append(np.log(abs(3.8 * float(state["h"][0, 0, 0, 0]))))
        _, state = chaos.step(frame[None], state)
    np.testing.assert_allclose(found.per_frame, stretched, atol=1e-4)
    assert found.rate > 0.4 and found.verdict == "expands"


def weights(cell):
    """The cell's kernels and biases, as the witness takes them."""
    pair = lambda conv: (  # noqa: E731
        ops.convert_to_numpy(conv.kernel).astype("float64"),
        ops.convert_to_numpy(conv.bias).astype("float64"),
    )
    body = [[pair(conv) for conv in stage.convs] for stage in cell.body]
    return {"head": pair(cell.head), "body": body, "tail": pair(cell.tail)}


@pytest.mark.parametrize("window", [1, 3])
def test_vresnet_feat_against_finite_differences(window):
    keras.utils.set_random_seed(0)
    name = "vresnet_feat" + ("_mf3" if window == 3 else "")
    model = models.build(name, features=4, blocks=2)
    clip = video(20, size=6)
    found = lyapunov(model, clip, seed=5)
    half = window // 2
    seen = witness.windows(clip[None], window)
    kernels, state = weights(model.cell), None
    # A window's frames are remembered, too, but are no feedback; a step of the model
    # restores the frame before its newest one.
    v = direction([(1, 6, 6, 4)] * 2, seed=5)
    for t in range(20 - half):
        state = [np.zeros((1, 6, 6, 4))] * 2 if state is None else state
        step = lambda s, t=t: witness.step("feat", kernels, seen[:, t], s)[1]  # noqa: E731
        nudged = [
            [s + sign * 1e-6 * d for s, d in zip(state, v, strict=True)]
            for sign in (1, -1)
        ]
        ahead, behind = step(nudged[0]), step(nudged[1])
        v = [(a - b) / 2e-6 for a, b in zip(ahead, behind, strict=True)]
        size = np.sqrt(sum((d**2).sum() for d in v))
        # A ReLU's corner within 1e-6 of the state would show here.
        assert found.per_frame[t + half] == pytest.approx(np.log(size), abs=1e-4)
        v = [d / size for d in v]
        state = step(state)
    assert found.burn_in == 10 + half


@pytest.mark.parametrize("name", ["vresnet_single", "vresnet_single_mf3"])
def test_without_a_state_nothing_is_left_of_a_perturbation(name):
    found = lyapunov(models.build(name, features=4, blocks=1), video(20))
    assert found.rate == -np.inf and found.verdict == "contracts"
    assert "has vanished" in found.summary()


def test_a_shift_forgets_after_its_frames():
    keras.utils.set_random_seed(0)
    model = models.build("vresnet_shift", features=4, blocks=2)
    found = lyapunov(model, video(20))
    assert np.isfinite(found.per_frame[0]) and found.rate == -np.inf


def test_a_state_that_overflows_expands():
    found = lyapunov(Map(lambda h: 1e3 * h), video(30))
    assert np.isnan(found.per_frame[-1]) and found.verdict == "expands"
    assert found.rate == pytest.approx(np.log(1e3), abs=1e-4)
    assert "not finite" in found.summary()
    found = lyapunov(Map(lambda h: h * np.nan), video(30))
    assert np.isnan(found.rate) and found.verdict == "expands"


def test_halves_that_disagree_are_undecided():
    frames = np.zeros((50, 4, 4, 3), "float32")
    frames[30:] = 1.0

    # The gain is 0.9 while the frames are dark and 1.1 when they are bright.
    class Lit(Map):
        def step(self, frame, state):
            gain = 0.9 + 0.2 * ops.mean(frame)
            return frame, state | {"h": gain * state["h"]}

    found = lyapunov(Lit(None), frames)
    assert found.verdict == "undecided"
    assert found.rate == pytest.approx((np.log(0.9) + np.log(1.1)) / 2, abs=1e-5)
    assert lyapunov(Lit(None), frames[:30]).verdict == "contracts"


@pytest.mark.parametrize("factor, verdict", [(0.2, "contracts"), (8, "expands")])
def test_a_real_model_scaled_down_and_up(factor, verdict):
    keras.utils.set_random_seed(0)
    model = dampened(models.build("vresnet_feat", features=6, blocks=2), factor)
    assert lyapunov(model, video(40, size=8)).verdict == verdict


def test_reduced_precision_is_near():
    keras.utils.set_random_seed(0)
    full = models.build("vresnet_feat", features=6, blocks=2)
    half = models.build("vresnet_feat", features=6, blocks=2, dtype="mixed_bfloat16")
    half.set_weights(full.get_weights())
    rates = [lyapunov(model, video(30, size=8)).rate for model in (full, half)]
    # bfloat16 keeps three digits.
    assert rates[0] == pytest.approx(rates[1], abs=0.02)


@pytest.mark.parametrize("gain", [0.5, 1e3])
def test_the_picture(gain, tmp_path):
    found = lyapunov(Map(lambda h: gain * h), video(30))
    found.plot(tmp_path / "rate.png")
    with Image.open(tmp_path / "rate.png") as picture:
        assert picture.width > 2 * picture.height


def test_bad_input():
    model = Map(lambda h: h)
    with pytest.raises(ValueError, match="at least 12 frames"):
        lyapunov(model, video(11))
    lyapunov(model, video(12))
    with pytest.raises(ValueError, match=r"Frame 0 must.*Received: float32"):
        lyapunov(model, video(12)[..., :1])
    with pytest.raises(ValueError, match="Frame 5"):
        lyapunov(model, [*video(5), *video(9, size=8)])
    with pytest.raises(ValueError, match="uint8"):
        lyapunov(model, video(12).astype("uint8"))
    with pytest.raises(ValueError, match="needs a recurrent model"):
        lyapunov(models.build("vresnet_birlsp", features=4, blocks=1), video(12))
