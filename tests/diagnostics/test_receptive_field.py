"""The temporal receptive field: gradient, optimum, window, verdict.

Tested, on a linear model whose influence, optimum and window NumPy knows in closed
form: those, with latency, scale, channels and restarts; verdicts of contractions, of
growth fast and slow, of a memory that keeps all, of models that overflow, give NaN at
once, clip their output, bound their state; a bad gradient. Early stopping changes no
verdict and saves what is claimed. A VResNet-feat with its state slices scaled down and
up. Bad input, and the picture.
Not tested: speed (`benchmarks/receptive_field.py`), and that what was not found is not
there, which no search can tell.
"""

import dataclasses
import importlib

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from stablevid_tf import models
from stablevid_tf.models import dampened

# The room gives the function; the module of that name holds the settings.
module = importlib.import_module("stablevid_tf.diagnostics.receptive_field")
field_of = module.temporal_receptive_field

SMALL = {"tau": 8, "size": 8}


class Linear:
    """``h = A h + B x``, ``y = C h``, pixel by pixel; frames of three channels."""

    name, channels = "linear", 3

    def __init__(self, a, latency=0, scale=1, out=lambda y: y, bound=lambda h: h):
        random = np.random.default_rng(1)
        self.a = np.atleast_2d(np.asarray(a, "float32"))
        self.b = random.normal(size=(len(self.a), 3)).astype("float32")
        self.c = random.normal(size=(3, len(self.a))).astype("float32")
        self.latency, self.scale, self.out, self.bound = latency, scale, out, bound

    def initial_state(self, frame):
        maps = ops.zeros((*frame.shape[:3], len(self.a)))
        return {"h": maps, "late": [ops.zeros_like(maps)] * self.latency}

    def step(self, frame, state):
        h = self.bound(ops.matmul(state["h"], self.a.T) + ops.matmul(frame, self.b.T))
        late = [*state["late"], h]
        y = self.out(ops.matmul(late[0], self.c.T))
        y = ops.repeat(ops.repeat(y, self.scale, axis=1), self.scale, axis=2)
        return y, {"h": h, "late": late[1:]}

    def response(self, frames, channel):
        """``d p / d x(-j)``, j = frames - 1 .. 0, in NumPy: [frames, 3]."""
        a, b, c = (m.astype("float64") for m in (self.a, self.b, self.c))
        powers = [np.linalg.matrix_power(a, j) for j in range(frames)]
        return np.stack([c[channel] @ power @ b for power in powers][::-1])


TURN = 0.7 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])


@pytest.mark.parametrize("channel, latency, scale", [(0, 0, 1), (1, 2, 1), (2, 0, 2)])
def test_influence_optimum_and_window_of_a_linear_model(channel, latency, scale):
    model = Linear(TURN, latency=latency, scale=scale)
    field = field_of(model, **SMALL, iterations=60, channel=channel, early_stop=False)
    # Without latency y(0) sees x(-8) .. x(0); the late frames cannot change it.
    response = model.response(9, channel)
    expected = np.concatenate([np.abs(response).sum(axis=1), np.zeros(latency)])
    np.testing.assert_allclose(
        field.influence / field.influence.max(), expected / expected.max(), atol=1e-6
    )
    best = max(np.maximum(response, 0).sum(), np.maximum(-response, 0).sum())
    least = min(np.maximum(response, 0).sum(), np.maximum(-response, 0).sum())
    # A concave corner of |p| on either side: ascent finds the one on its own side.
    assert min(abs(field.objective[-1] / np.array([best, least]) - 1)) < 1e-5
    assert field.window == 9 - np.argmax(expected >= 0.01 * expected.max())
    # The centre pixel alone has been moved, to 0 or 1.
    centre = field.inputs[:9, 4, 4]
    assert np.isin(centre, (0, 1)).all()
    start = np.random.default_rng((0, 0)).uniform(size=field.inputs.shape)
    start = start.astype("float32")
    np.testing.assert_array_equal(field.inputs[:, 0, 0], start[:, 0, 0])
    np.testing.assert_array_equal(field.inputs[9:], start[9:])
    assert field.outputs.shape == (17, 8 * scale, 8 * scale, 3)
    p = np.abs(field.outputs[8, 4 * scale, 4 * scale, channel])
    np.testing.assert_allclose(p, field.objective[-1], rtol=1e-5)


def test_outputs_and_state_are_those_of_the_model_on_the_inputs():
    model = Linear(TURN, latency=2)
    field = field_of(model, **SMALL, iterations=20)
    frames = np.concatenate([field.inputs, field.inputs[-1:], field.inputs[-1:]])
    h, wanted = np.zeros((8, 8, 2)), []
    for frame in frames:
        h = h @ model.a.T.astype("float64") + frame @ model.b.T
        wanted.append(h @ model.c.T)
    np.testing.assert_allclose(field.outputs, wanted[:17], atol=1e-5)
    np.testing.assert_allclose(field.state["h"][0], h, atol=1e-5)
    assert isinstance(field.state["h"], np.ndarray)


@pytest.mark.parametrize(
    "a, verdict",
    [
        (0.0, "stable"),
        (0.4, "stable"),
        (-0.4, "stable"),
        # Frames of the last quarter count 0.8^8 = 17 %: not over within the field.
        (0.8, "undecided"),
        (1.0, "undecided"),
        (1.5, "diverges"),
        (-1.5, "diverges"),
        (4e4, "diverges"),
    ],
)
def test_verdicts_of_linear_models(a, verdict):
    field = field_of(Linear(a), **SMALL, iterations=100)
    assert field.verdict == verdict, field.summary()
    assert verdict in field.summary()


@pytest.mark.parametrize("a, verdict", [(0.8, "stable"), (1.1, "diverges")])
def test_a_larger_tau_decides(a, verdict):
    assert field_of(Linear(a), tau=40, size=4, iterations=60).verdict == verdict


def test_an_input_that_overflows_is_not_kept():
    model = Linear(2.0)
    response = model.response(9, 1)
    best = max(np.maximum(response, 0).sum(), np.maximum(-response, 0).sum())
    factor = np.float32(1.02 * float(np.finfo("float32").max) / best)
    model.out = lambda y: y * factor
    field = field_of(model, **SMALL, iterations=60, early_stop=False)
    assert field.overflow and 0 < field.iterations < 60
    assert field.verdict == "diverges" and "not finite" in field.summary()
    assert np.isfinite(field.inputs).all() and np.isfinite(field.outputs[8, 4, 4, 1])
    assert all(np.isfinite(a).all() for a in keras.tree.flatten(field.state))


def test_nan_at_once():
    field = field_of(Linear(0.5, out=lambda y: y * np.nan), **SMALL, iterations=40)
    assert field.verdict == "diverges" and field.iterations == 0
    assert "not finite from frame -8" in field.summary()


def test_a_bad_gradient_spoils_nothing():
    # The square root of zero: the value is finite, its gradient is not.
    def out(y):
        return y + ops.sqrt(ops.relu(y - 1e9))

    field = field_of(Linear(0.4, out=out), **SMALL, iterations=60)
    assert np.isfinite(field.inputs).all() and field.verdict != "diverges"


def test_what_hides_behind_a_clipped_output_is_seen_in_the_state():
    clip = {"out": lambda y: ops.clip(y, 0, 1)}
    grows = field_of(Linear(1.5, **clip), **SMALL, iterations=60, seed=1)
    assert grows.output_sizes.max() <= 1 and grows.verdict == "diverges"
    assert "state grows" in grows.summary()


def test_a_bounded_state_that_never_forgets_is_undecided():
    # A chaotic map of [-1, 1]: the least difference grows, but not without end.
    chaos = Linear(1.0, bound=lambda h: 1 - 1.9 * ops.square(h))
    chaos.b *= 0.01
    field = field_of(chaos, **SMALL, iterations=100)
    assert field.verdict == "undecided" and field.output_sizes.max() < 10
    assert "larger tau" in field.summary()


def test_an_output_that_no_frame_can_change():
    field = field_of(Linear(0.5, out=lambda y: 0 * y), **SMALL, iterations=20)
    assert (field.verdict, field.window) == ("undecided", 0)
    assert "depends on no frame" in field.summary()


class Counting(Linear):
    """Adds to its output what grows by itself, whatever the frames."""

    def initial_state(self, frame):
        return super().initial_state(frame) | {"own": ops.ones(())}

    def step(self, frame, state):
        own = 3 * state["own"]
        y, state = super().step(frame, state)
        return y + own, state | {"own": own}


def test_growth_of_its_own_that_no_frame_can_change():
    assert field_of(Counting(0.0), **SMALL, iterations=20).verdict == "diverges"


@pytest.mark.parametrize("a", [0.2, 1.5])
def test_early_stopping_is_five_times_cheaper_and_says_the_same(a):
    whole, early = (
        field_of(Linear(a), tau=8, size=4, early_stop=stop) for stop in (False, True)
    )
    assert whole.iterations == 500 and early.iterations <= 100
    assert whole.verdict == early.verdict
    assert abs(whole.window - early.window) <= 1


def test_no_early_verdict_while_the_search_still_rises():
    slow = field_of(Linear(0.2), tau=8, size=4, iterations=100, rate=1e-3)
    assert slow.verdict == "stable" and slow.iterations == 100
    settled = field_of(Linear(0.2), tau=8, size=4, iterations=100)
    assert settled.certain(40) and not settled.certain(60)
    rising = np.linspace(1, 2, 100)
    assert not dataclasses.replace(settled, objective=rising).certain(40)


def test_the_worst_of_several_searches_is_returned():
    field = field_of(Linear(0.4), **SMALL, iterations=30, channel=(0, 1), restarts=2)
    single = [
        field_of(Linear(0.4), **SMALL, iterations=30, channel=c).objective[-1]
        for c in (0, 1)
    ]
    assert field.verdicts == ("stable",) * 4
    assert field.objective[-1] >= max(single)
    assert "worst of 4" in field.summary()


def vresnet(**kwargs):
    keras.utils.set_random_seed(0)
    return models.build("vresnet_feat", features=6, blocks=2, **kwargs)


def test_a_real_model_scaled_down_and_up():
    calm, wild = (dampened(vresnet(), factor) for factor in (0.2, 8.0))
    calm = field_of(calm, tau=12, size=12, iterations=100)
    wild = field_of(wild, tau=12, size=12, iterations=100)
    assert calm.verdict == "stable" and calm.window < 12
    assert wild.verdict == "diverges" and wild.iterations == 20
    assert wild.output_sizes[-1] > 100


@pytest.mark.parametrize("window", [1, 3, 7])
def test_without_a_state_the_field_is_the_window(window):
    name = "vdncnn_single" + {1: "", 3: "_mf3", 7: "_mf7"}[window]
    keras.utils.set_random_seed(0)
    model = models.build(name, features=6, depth=1)
    # Without negative weights every frame of the window passes every ReLU.
    for kernel in model.trainable_variables:
        kernel.assign(np.random.default_rng(0).uniform(size=kernel.shape))
    field = field_of(model, tau=16, size=12, iterations=100)
    assert (field.verdict, field.window) == ("stable", window)
    half = window // 2
    assert field.influence[: 16 - half].max() == 0
    assert field.influence[16 - half :].min() > 0


def test_the_settings_are_checked():
    for bad, message in (
        ({"tau": 2}, "tau must be 3"),
        ({"tau": 0}, "tau"),
        ({"size": 0}, "size"),
        ({"iterations": 0}, "iterations"),
        ({"restarts": 0}, "restarts"),
        ({"rate": 0.0}, "rate"),
        ({"channel": 3}, "channel must be from 0 to 2"),
        ({"channel": ()}, "channel"),
    ):
        with pytest.raises(ValueError, match=message):
            field_of(Linear(0.5), **{**SMALL, **bad})
    with pytest.raises(ValueError, match="looks 9 frames ahead"):
        field_of(Linear(0.5, latency=9), **SMALL)
    with pytest.raises(ValueError, match="needs a recurrent model"):
        field_of(models.build("vresnet_birlsp", features=4, blocks=1))


def test_the_same_seed_gives_the_same_field():
    first, second = (field_of(Linear(TURN), **SMALL, iterations=20) for _ in range(2))
    np.testing.assert_array_equal(first.inputs, second.inputs)
    other = field_of(Linear(TURN), **SMALL, iterations=20, seed=1)
    assert (first.inputs != other.inputs).any()


@pytest.mark.parametrize("a", [0.4, 1e6])
def test_the_picture(a, tmp_path):
    field = field_of(Linear(a), **SMALL, iterations=20)
    field.plot(tmp_path / "field.png")
    with Image.open(tmp_path / "field.png") as picture:
        assert picture.width > 4 * picture.height
