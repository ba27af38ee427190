"""The certificate: is a model proved to forget its past?

Tested: gains and G against NumPy, from norms on a fine frequency grid; e(t) <= G e(t-1)
at every frame for perturbations of the state drawn at random and found by gradient
ascent, and a case where it is reached; the verdict just below and above gain 1; which
convolution stands in the way; warps in the infinity norm; loops without a convolution;
folded, bare, half-precision, clip and foreign models; what cannot be proved says so;
nothing measured is changed.
Not tested: cells that declare their loops wrongly (tests/cells holds ours to theirs).
"""

import math

import keras
import numpy as np
import pytest
import witness
from keras import ops

from stablevid_tf import backend, cells, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.diagnostics import certify
from stablevid_tf.layers.loop import (
    ConvSlice,
    Lipschitz,
    Loop,
    Residual,
    Retention,
    Warp,
)
from stablevid_tf.models import dampened

FEATURES, SIZE = 4, 8
STAGES = {"vdncnn": "depth", "vresnet": "blocks"}
MODELS = ("vresnet_feat", "vdncnn_feat", "vresnet_frame", "vdncnn_rlsp")


def build(name, alpha=0.95, stages=2, deviation=0.4, **kwargs):
    constraint = SRNC(alpha, where="loop", frame_size=SIZE) if alpha else None
    model = models.build(
        name,
        features=FEATURES,
        constraint=constraint,
        **{STAGES[name.split("_")[0]]: stages},
        **kwargs,
    )
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(deviation * random.normal(size=variable.shape))
    return model


def scale(conv, factor, start=None, stop=None):
    kernel = conv.kernel.numpy()
    kernel[:, :, start:stop] *= factor
    conv.kernel.assign(kernel)


# ------------------------------------------------------------------ witnesses


def supremum(part):
    kernel = part.conv.kernel.numpy().astype("float64")
    return witness.symbol_norm(kernel[:, :, part.start : part.stop], 128)


def product(path):
    """Of a path's gains: ``1 + product`` for a residual block."""
    gain = 1.0
    for term in path:
        if isinstance(term, Residual):
            gain *= 1 + math.prod(supremum(part) for part in term.branch)
        else:
            gain *= supremum(term)
    return gain


def gain_matrix(loops):
    """``(I - S)^-1 diag(g)``, by solving."""
    gains = [product((loop.entry, *loop.path)) for loop in loops]
    between = np.diag([product(loop.feed) for loop in loops[1:]], -1)
    solved = np.linalg.solve(np.eye(len(loops)) - between, np.diag(gains))
    return np.tril(solved)  # above lies rounding only


def sizes(a, b):
    return np.array([np.linalg.norm(x - y) for x, y in zip(a, b, strict=True)])


# ------------------------------------------------------------ gains, matrix, verdict


@pytest.mark.parametrize("name", MODELS)
def test_gains_and_matrix_are_those_of_numpy(name):
    model = build(name)
    found = certify(model)
    loops = model.fold().loops()
    truth = gain_matrix(loops)
    count = max(len(loop.slices()) for loop in loops) * len(loops)
    # Each norm lies at most 0.24 % above its supremum, which a grid of 128 misses by
    # 0.06 %; no entry has more than so many of them.
    assert (found.matrix >= truth).all()
    assert (found.matrix <= truth * 1.0031**count).all()
    np.testing.assert_array_equal(found.matrix, np.tril(found.matrix))
    assert max(abs(np.linalg.eigvals(found.matrix))) == pytest.approx(found.contraction)
    assert found.certified and found.verdict == "certified"
    assert 0.93 < found.contraction <= 0.95
    for loop, bound in zip(loops, found.loops, strict=True):
        assert len(bound.factors) == len(loop.slices())
        for (_, norm), part in zip(bound.factors, loop.slices(), strict=True):
            assert supremum(part) <= norm <= 1.0031 * supremum(part)


def test_the_feed_of_feat():
    for name in ("vresnet_feat", "vdncnn_feat"):
        first, second = build(name).fold().loops()
        assert first.feed is None
        (term,) = second.feed
        below = term.branch[0] if name.startswith("vresnet") else term
        # The inputs that the state's slice leaves.
        assert (below.conv, below.stop) == (second.entry.conv, second.entry.start)


@pytest.mark.parametrize("name", ["vresnet_frame", "vdncnn_feat"])
def test_just_below_and_above_one(name):
    for target in (0.999, 1.001):
        model = build(name, alpha=None)
        for loop, bound in zip(model.loops(), certify(model).loops, strict=True):
            scale(loop.entry.conv, target / bound.gain, loop.entry.start)
        found = certify(model)
        assert found.certified == (target < 1)
        for bound in found.loops:
            # Kernels are float32.
            assert bound.gain == pytest.approx(target, rel=1e-6)
        assert (found.contraction is None) == (target > 1)


def test_the_convolution_in_the_way_is_named():
    model = build("vresnet_feat", alpha=None, deviation=0.05)
    calm = certify(model)
    assert calm.certified
    cell = model.cell
    # Only the state's slice is on the loop.
    scale(cell.body[1].conv1, 50, stop=FEATURES)
    assert certify(model).contraction == calm.contraction
    scale(cell.body[1].conv2, 50)
    found = certify(model)
    assert not found.certified and found.contraction is None
    assert [bound.gain >= 1 for bound in found.loops] == [False, True]
    assert found.loops[1].worst == "body[1].conv2"
    assert "body[1].conv2" in found.summary() and "stage 1" in found.summary()
    scale(cell.body[1].conv1, 500, start=FEATURES)
    assert certify(model).loops[1].worst == f"body[1].conv1[{FEATURES}:]"


def test_the_convolution_in_the_way_inside_a_block():
    model = build("vresnet_rlsp", deviation=0.05)
    scale(model.cell.body[1].conv1, 1e3)
    unheld = build("vresnet_rlsp", alpha=None, deviation=0.05)
    unheld.set_weights(model.fold().get_weights())
    scale(unheld.cell.body[1].conv1, 1e3)
    (bound,) = certify(unheld).loops
    assert bound.worst == "body[1].conv1"


# ------------------------------------------------------------- e(t) <= G e(t-1)


def trajectory(model, count=8):
    """Frames, and the state after three of them."""
    random = np.random.default_rng(1)
    frames = random.random((count, 1, SIZE, SIZE, 3), dtype="float32")
    state = model.initial_state(frames[0])
    for frame in frames[:3]:
        _, state = model.step(frame, state)
    return frames[3:], [np.asarray(s) for s in state]


@pytest.mark.parametrize("name", [*MODELS, "vresnet_rlsp"])
def test_random_differences_obey_the_matrix(name):
    model = build(name)
    matrix = certify(model).matrix
    model = model.fold()
    frames, state = trajectory(model)
    random = np.random.default_rng(2)
    for deviation in (1e-2, 1.0, 30.0):
        noise = [random.normal(size=s.shape).astype("float32") for s in state]
        a = tuple(state)
        b = tuple(s + deviation * n for s, n in zip(state, noise, strict=True))
        for frame in frames:
            before = sizes(a, b)
            (_, a), (_, b) = model.step(frame, a), model.step(frame, b)
            # Differences of float32 maps of size about 10.
            assert (sizes(a, b) <= matrix @ before + 2e-5).all()


@pytest.mark.parametrize("name", MODELS)
def test_differences_found_by_gradient_obey_the_matrix(name):
    model = build(name)
    matrix = certify(model).matrix.astype("float32")
    model = model.fold()
    frames, state = trajectory(model, 6)
    channels = sum(s.shape[-1] for s in state)
    split = lambda d: ops.split(d, len(state), axis=-1)  # noqa: E731
    norms = lambda a, b: ops.stack(  # noqa: E731
        [ops.sqrt(ops.sum((x - y) ** 2)) for x, y in zip(a, b, strict=True)]
    )

    def ratios(difference):
        """How much of its bound each norm takes, over three frames: [frames, loops]."""
        a = tuple(ops.convert_to_tensor(s) for s in state)
        b = tuple(s + d for s, d in zip(a, split(difference), strict=True))
        found = []
        for frame in frames:
            before = norms(a, b)
            (_, a), (_, b) = model.cell(frame, a), model.cell(frame, b)
            after = norms(a, b)
            found.append(after / ops.matmul(matrix, before[:, None])[:, 0])
        return ops.stack(found)

    step = backend.compile(
        lambda d: backend.gradient(lambda x: ops.sum(ratios(x)), d)[1]
    )
    random = np.random.default_rng(3)
    difference = random.normal(size=(1, SIZE, SIZE, channels)).astype("float32")
    length = np.linalg.norm(difference)
    first = ops.convert_to_numpy(ratios(difference))
    for _ in range(40):
        gradient = ops.convert_to_numpy(step(difference))
        difference += 0.2 * length * gradient / np.linalg.norm(gradient)
        difference *= length / np.linalg.norm(difference)
        found = ops.convert_to_numpy(ratios(difference))
        # Norms of float32 differences, of length 10 to 30 at first.
        assert found.max() <= 1 + 1e-4
    # The search does look for the worst.
    assert found.sum() > 1.2 * first.sum()


@pytest.mark.parametrize("name", ["vdncnn_feat", "vresnet_feat"])
def test_the_matrix_is_reached(name):
    # Identities, nothing clipped: each stage adds 0.9 of its state to what comes up.
    model = build(name, alpha=None)
    identity = np.eye(FEATURES)
    for stage in model.cell.body:
        taps = [np.vstack([identity, 0.9 * identity]), identity]
        for conv, tap in zip(stage.convs, taps, strict=False):
            kernel = np.zeros(conv.kernel.shape)
            kernel[1, 1] = tap
            conv.kernel.assign(kernel)
            conv.bias.assign([1.0] * FEATURES)
    frame = np.zeros((1, SIZE, SIZE, 3), "float32")
    a = tuple(np.full_like(s, 5) for s in model.initial_state(frame))
    b = tuple(s + 0.1 for s in a)
    before = sizes(a, b)
    (_, a), (_, b) = model.step(frame, a), model.step(frame, b)
    bound = certify(model).matrix @ before
    # At most four norms on the way to a state, each bounded 0.24 % too high.
    assert (sizes(a, b) <= bound).all() and (sizes(a, b) > 0.99 * bound).all()


# ------------------------------------------------------------------------- warps


class WarpedCell(cells.RecurrentVideoCell):
    """``h(t) = relu(K [frame, warp(h(t-1))])``; every pixel takes the first one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(FEATURES, 3, padding="same")

    def initial_state(self, frame):
        return (self.zeros(frame, FEATURES),)

    def call(self, frames, state):
        warped = ops.zeros_like(state[0]) + state[0][:, :1, :1]
        x = ops.relu(self.conv(ops.concatenate([frames, warped], axis=-1)))
        return x[..., :3], (x,)

    def loops(self):
        return [Loop("warped", ConvSlice(self.conv, 3), (Warp(),))]


def test_a_warp_is_held_in_the_infinity_norm():
    cell = WarpedCell()
    cell.build_by_call()
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 3 + FEATURES, FEATURES))
    kernel *= 0.99 / np.abs(kernel[:, :, 3:]).sum(axis=(0, 1, 2)).max()
    cell.conv.kernel.assign(kernel)
    cell.conv.bias.assign(random.normal(size=FEATURES))
    found = certify(cell)
    matrix = witness.conv_matrix(kernel[:, :, 3:], SIZE)
    # The norm of the explicit matrix, of float32 kernels.
    assert found.contraction == pytest.approx(abs(matrix).sum(axis=1).max(), rel=1e-6)
    assert found.certified and found.norm == "infinity"

    model = models.RecurrentRestorer(cell)
    frames = random.random((6, 1, SIZE, SIZE, 3), dtype="float32")
    a, b = (
        (random.normal(size=(1, SIZE, SIZE, FEATURES)).astype("float32"),)
        for _ in range(2)
    )
    for frame in frames:
        before = abs(a[0] - b[0]).max()
        (_, a), (_, b) = model.step(frame, a), model.step(frame, b)
        a, b = (np.asarray(a[0]),), (np.asarray(b[0]),)
        assert abs(a[0] - b[0]).max() <= found.contraction * before + 1e-6


def test_in_the_spectral_norm_a_warp_may_grow():
    # One pixel differs and is taken by all: why the spectral norm proves nothing.
    cell = WarpedCell()
    cell.build_by_call()
    kernel = np.zeros((3, 3, 3 + FEATURES, FEATURES))
    kernel[1, 1, 3:] = 0.5 * np.eye(FEATURES)
    cell.conv.kernel.assign(kernel)
    frame = np.zeros((1, SIZE, SIZE, 3), "float32")
    state = np.zeros((1, SIZE, SIZE, FEATURES), "float32")
    state[:, 0, 0] = 1
    _, (after,) = models.RecurrentRestorer(cell).step(frame, (state,))
    assert np.linalg.norm(after) == pytest.approx(0.5 * SIZE * np.linalg.norm(state))
    assert certify(cell).contraction == pytest.approx(0.5)


class EchoCell(cells.RecurrentVideoCell):
    """``h(t) = frame + c h(t-1)``: no convolution at all."""

    def __init__(self, term, constant, **kwargs):
        super().__init__(**kwargs)
        self.term, self.constant = term, constant

    def initial_state(self, frame):
        return (self.zeros(frame, 3),)

    def call(self, frames, state):
        x = frames + self.constant * state[0]
        return x, (x,)

    def loops(self):
        return [Loop("echo", None, (self.term,))]


@pytest.mark.parametrize("term", [Retention(0.75), Lipschitz(0.75)])
def test_a_loop_without_a_convolution(term):
    cell = EchoCell(term, 0.75)
    found = certify(cell)
    assert found.certified and found.norm == "spectral"
    assert found.contraction == 0.75
    (bound,) = found.loops
    assert (bound.factors, bound.worst) == ((), None)
    # One loop is a matrix of one number.
    np.testing.assert_array_equal(found.matrix, [[0.75]])
    with pytest.raises(ValueError, match="cannot be dampened: the state of 'echo'"):
        dampened(models.RecurrentRestorer(cell), 0.5)


def test_a_loop_without_a_convolution_that_grows():
    found = certify(EchoCell(Lipschitz(1.5), 1.5))
    assert not found.certified and found.contraction is None
    assert "largest bound is 1.500 (echo). " in found.summary()


# --------------------------------------------------------------- kinds of models


def test_dampening_is_a_smaller_slice():
    model = build("vresnet_feat", alpha=None)
    before = certify(model)
    for loop in model.loops():
        scale(loop.entry.conv, 0.25, loop.entry.start)
    for bound, was in zip(certify(model).loops, before.loops, strict=True):
        # A power of two is exact in float32; eigenvalues are float64.
        assert bound.gain == pytest.approx(0.25 * was.gain, rel=1e-12)


def test_without_feedback():
    for name in ("vresnet_shift", "vdncnn_single_mf3"):
        found = certify(build(name))
        assert found.certified and found.contraction == 0
        assert found.loops == () and found.matrix is None
        assert "Nothing is fed back" in found.summary()


def test_both_directions_of_a_clip_model():
    found = certify(build("vresnet_birlsp"))
    assert [bound.name for bound in found.loops] == ["forward", "backward"]
    assert found.certified and found.matrix is None


def test_the_hard_constraint_is_certified():
    hard = SRNC(0.7, frame_size=SIZE)
    model = models.build("vresnet_feat", features=FEATURES, blocks=2, constraint=hard)
    # Two norms of 0.7 at most; the state's slice has less than its whole convolution.
    assert 0 < certify(model).contraction <= 0.49


def test_a_bare_cell_a_model_and_its_twin_agree():
    model = build("vresnet_feat")
    weights = model.get_weights()
    found = certify(model)
    for other in (model.cell, model.fold(), model.fold().cell):
        np.testing.assert_array_equal(certify(other).matrix, found.matrix)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_half_precision_kernels_are_measured_as_they_are():
    half = build("vdncnn_feat", alpha=None, dtype="mixed_bfloat16")
    plain = build("vdncnn_feat", alpha=None)
    different = certify(plain).matrix
    for variable in plain.trainable_variables:
        variable.assign(ops.cast(ops.cast(variable, "bfloat16"), "float32"))
    np.testing.assert_array_equal(certify(half).matrix, certify(plain).matrix)
    assert (certify(half).matrix[1] != different[1]).all()


class Foreign:
    """Somebody's own recurrence, not of this house."""

    name = "foreign"

    def __init__(self, conv):
        self.conv = conv

    def initial_state(self, frame):
        return ops.zeros_like(frame)

    def step(self, frame, state):
        state = ops.relu(self.conv(state)) + frame
        return state, state


class Declaring(Foreign):
    def loops(self):
        return [Loop("own", ConvSlice(self.conv))]


def convolution(**kwargs):
    conv = keras.layers.Conv2D(4, 3, padding="same", **kwargs)
    conv.build((None, None, None, 4))
    conv.kernel.assign(0.01 * np.ones(conv.kernel.shape))
    return conv


def test_a_model_of_ones_own():
    found = certify(Declaring(convolution()))
    # Nine taps, four equal inputs and outputs: 9 * 4 * 0.01.
    assert found.certified and found.contraction == pytest.approx(0.36, rel=3e-3)
    assert found.model == "foreign"


def test_transposed_and_strided_slices():
    layer = keras.layers.Conv2DTranspose(5, 3, strides=2, padding="same")
    layer.build((None, None, None, 4))
    layer.kernel.assign(np.random.default_rng(0).normal(size=layer.kernel.shape))
    # Its inputs [1, 3) are on the kernel's last axis.
    own = layer.kernel.numpy().astype("float64")[..., 1:3]
    matrix = witness.conv_matrix(own, 12, 2)
    for path, truth in (
        ((), np.linalg.norm(matrix, 2)),
        ((Warp(),), abs(matrix).sum(axis=0).max()),
    ):
        model = Declaring(layer)
        model.loops = lambda p=path: [Loop("up", ConvSlice(layer, 1, 3), p)]
        (bound,) = certify(model).loops
        assert bound.factors[0][0].endswith("[1:3]")
        if path:
            # All taps at once: no output of a strided one sees them all.
            assert truth <= bound.gain
        else:
            assert truth <= bound.gain <= 1.1 * truth


@pytest.mark.parametrize(
    "conv, words",
    [
        (lambda: convolution(groups=2), "one group"),
        (lambda: convolution(activation="gelu"), "gelu may enlarge"),
        (lambda: keras.layers.Conv2D(4, 3), "not built"),
        (lambda: keras.layers.Dense(4), "only for plain convolutions"),
    ],
)
def test_what_cannot_be_bounded_is_not_certified(conv, words):
    found = certify(Declaring(conv()))
    assert not found.certified and found.contraction is None
    assert words in found.reason


def test_kernels_that_are_not_finite_are_not_certified():
    model = build("vresnet_feat", alpha=None)
    scale(model.cell.body[1].conv2, np.nan)
    found = certify(model)
    assert not found.certified
    assert "body[1].conv2: the kernel holds values that are not finite" in found.reason


class Undeclared(cells.FeatCell):
    def loops(self):
        raise NotImplementedError


def test_undeclared_loops_are_not_certified():
    for model in (Undeclared(features=4, stages=1), Foreign(convolution())):
        found = certify(model)
        assert not found.certified and found.contraction is None
        assert "no proof is possible" in found.summary()


def test_a_model_without_state_is_refused():
    with pytest.raises(ValueError, match="initial_state"):
        certify(keras.Sequential([keras.layers.Conv2D(3, 3)]))


def test_the_plot(tmp_path):
    held, free = build("vresnet_feat"), build("vresnet_feat", alpha=None)
    for i, model in enumerate((held, free, Foreign(convolution()))):
        certify(model).plot(tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").read_bytes().startswith(b"\x89PNG")
