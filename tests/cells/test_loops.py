"""The feedback loops that cells declare, and what `where="loop"` makes of them.

Tested: which slices each cell declares; that they are complete (nothing else feeds a
perturbation of the state back); certified gains of folded models after training steps;
the cascade inequality of VResNet-feat; that nothing is scaled up.
Not tested: long runs (diagnostics and the benchmarks).
"""

import dataclasses

import keras
import numpy as np
import pytest
import witness

from stablevid_tf import models, numerics
from stablevid_tf.constraints import (
    SRNC,
    effective_kernels,
    folded_kernels,
    loop_kernels,
)
from stablevid_tf.layers import SRNCConv2D
from stablevid_tf.layers.loop import Residual, Warp

ALPHA = 0.9
STAGES = {"vdncnn": "depth", "vresnet": "blocks"}
LOOPED = [
    f"{backbone}_{recurrence}"
    for backbone in STAGES
    for recurrence in ("frame", "feat", "rlsp", "birlsp")
]


def build(name, stages=3, features=4, alpha=ALPHA, deviation=None, **kwargs):
    keras.utils.set_random_seed(0)
    model = models.build(
        name,
        features=features,
        constraint=SRNC(alpha, where="loop", frame_size=8),
        **{STAGES[name.split("_")[0]]: stages},
        **kwargs,
    )
    if deviation is not None:
        random = np.random.default_rng(0)
        for variable in model.trainable_variables:
            variable.assign(deviation * random.normal(size=variable.shape))
    return model


def train(model, steps=6):
    random = np.random.default_rng(0)
    x = random.random((2 * steps, 3, 8, 8, 3), dtype="float32")
    model.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
    model.fit(x, 1 - x, batch_size=2, verbose=0)


def bound(part):
    """The certified norm of a slice, from the kernel itself."""
    kernel = part.conv.kernel.numpy().astype("float64")
    return numerics.conv_norm_bound(kernel[:, :, part.start : part.stop])


def certified(loop):
    """The loop's gain bound, by the rules of the paper's section on loops."""
    gain = bound(loop.entry)
    for term in loop.path:
        if isinstance(term, Residual):
            gain *= 1 + np.prod([bound(part) for part in term.branch])
        else:
            gain *= bound(term)
    return gain


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("vresnet_feat", "vdncnn_feat", "vresnet_rlsp", "vdncnn_frame")
        else pytest.param(name, marks=pytest.mark.large)
        for name in LOOPED
    ],
)
def test_folded_loops_are_certified_after_training(name):
    model = build(name, deviation=0.3)
    assert max(certified(loop) for loop in model.loops()) > 2
    train(model)
    twin = model.fold()
    gains = [certified(loop) for loop in twin.loops()]
    # No tolerance: it is a guarantee.
    assert max(gains) <= ALPHA
    # ... and it binds: the loops were well above before.
    assert min(gains) > 0.98 * ALPHA


def test_ten_convolutions_on_one_loop():
    # The longest product: rounding to float32 may not lift it above alpha.
    for seed in range(2):
        model = build("vdncnn_rlsp", stages=10)
        random = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            variable.assign(random.normal(size=variable.shape))
        (loop,) = model.fold().loops()
        assert certified(loop) <= ALPHA


def test_a_cell_may_mix_in_another_constraint():
    # A layer of its own beside the declared loops keeps its own constraint.
    model = build("vresnet_feat", stages=1)
    model.cell.beside = SRNCConv2D(4, 3, alpha=0.5, frame_size=8)
    model.cell.beside.build((None, None, None, 4))
    assert model.cell.beside in effective_kernels(model.cell)
    kernels = folded_kernels(model.cell)
    assert numerics.conv_norm_bound(kernels[model.cell.beside]) <= 0.5
    (loop,) = model.loops()
    assert loop.entry.conv in kernels


def test_a_warped_loop_cannot_be_held():
    (loop,) = build("vresnet_feat", stages=1).loops()
    warped = dataclasses.replace(loop, path=(Warp(), *loop.path))
    with pytest.raises(ValueError, match="infinity norm only"):
        loop_kernels([warped], 0.9, lambda part: 1.0)


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("name", LOOPED)
def test_short_bodies_are_certified_too(name, stages):
    model = build(name, stages=stages, deviation=0.5)
    assert max(certified(loop) for loop in model.fold().loops()) <= ALPHA


@pytest.mark.parametrize("scale, suffix", [(2, ""), (1, "_mf3"), (2, "_mf3")])
def test_frame_loops_at_other_scales_and_windows(scale, suffix):
    model = build("vresnet_frame" + suffix, deviation=0.5, scale=scale)
    (loop,) = model.fold().loops()
    assert certified(loop) <= ALPHA
    # The state's channels: all that follow the window's frames.
    seen = loop.entry.conv.kernel.shape[2]
    assert seen - loop.entry.start == 3 * scale**2


@pytest.mark.parametrize("name", LOOPED)
def test_nothing_is_scaled_up(name):
    model = build(name, deviation=0.01)
    before = {id(c): c.kernel.numpy() for c in convs(model)}
    assert max(certified(loop) for loop in model.loops()) < ALPHA
    for conv, kernel in effective_kernels(model.network).items():
        # Untouched, bit for bit: every factor is exactly 1.
        np.testing.assert_array_equal(kernel, before[id(conv)])
    for mine, folded in zip(convs(model), convs(model.fold()), strict=True):
        np.testing.assert_array_equal(folded.kernel, mine.kernel)


def convs(model):
    return [x for x in model._flatten_layers() if hasattr(x, "kernel")]


def test_feat_scales_the_state_slice_alone():
    model = build("vresnet_feat", deviation=0.5)
    twin = model.fold()
    for mine, folded in zip(model.cell.body, twin.cell.body, strict=True):
        a, b = mine.conv1.kernel.numpy(), folded.conv1.kernel.numpy()
        np.testing.assert_array_equal(b[:, :, :4], a[:, :, :4])
        np.testing.assert_array_equal(folded.conv2.kernel, mine.conv2.kernel)
        ratio = b[:, :, 4:] / a[:, :, 4:]
        # One factor, to float32.
        np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)
        assert ratio.flat[0] < 0.5


def test_the_declared_slices():
    for name, count in (
        ("vresnet_feat", 3),
        ("vdncnn_feat", 3),
        ("vresnet_shift", 0),
        ("vdncnn_single", 0),
        ("vresnet_birlsp", 2),
    ):
        assert len(build(name).loops()) == count
    (loop,) = build("vresnet_rlsp").loops()
    # Entry, K2 of the first block, two whole blocks.
    assert [type(t).__name__ for t in loop.path] == [
        "ConvSlice",
        "Residual",
        "Residual",
    ]
    (loop,) = build("vdncnn_frame").loops()
    assert len(loop.slices()) == 1 + 3 + 1
    assert loop.entry.start == 3


@pytest.mark.parametrize("name", [n for n in LOOPED if "birlsp" not in n])
def test_the_loops_are_complete(name):
    # Cut every declared entry slice: the state has no way left back into the state.
    model = build(name, deviation=0.3)
    for loop in model.loops():
        kernel = loop.entry.conv.kernel.numpy()
        kernel[:, :, loop.entry.start : loop.entry.stop] = 0
        loop.entry.conv.kernel.assign(kernel)
    frame = np.random.default_rng(1).random((1, 8, 8, 3), dtype="float32")
    zero = model.initial_state(frame)
    shifted = keras.tree.map_structure(lambda s: s + 1.0, zero)
    _, a = model.step(frame, zero)
    _, b = model.step(frame, shifted)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_gain_rule_of_a_loop():
    model = build("vresnet_rlsp")
    (loop,) = model.loops()
    norms = {id(part): n for part, n in zip(loop.slices(), range(2, 8), strict=True)}
    # entry 2, K2 3, then (1 + 4 * 5) and (1 + 6 * 7)
    assert loop.gain(lambda part: norms[id(part)]) == 2 * 3 * 21 * 43


@pytest.mark.parametrize("trained", [False, True])
def test_cascade_inequality_of_vresnet_feat(trained):
    model = build("vresnet_feat", deviation=0.25)
    if trained:
        train(model)
    model = model.fold()
    body, size = model.cell.body, 8
    n = len(body)

    def norm(conv, start=0, stop=None):
        kernel = conv.kernel.numpy().astype("float64")
        return witness.norm(kernel[:, :, start:stop], size)

    gains = [norm(s.conv1, 4) * norm(s.conv2) for s in body]
    between = np.zeros((n, n))
    for i in range(1, n):
        between[i, i - 1] = 1 + norm(body[i].conv2) * norm(body[i].conv1, 0, 4)
    g = np.linalg.solve(np.eye(n) - between, np.diag(gains))
    assert max(abs(np.linalg.eigvals(g))) == pytest.approx(max(gains))
    assert max(gains) <= ALPHA
    random = np.random.default_rng(2)
    frames = random.random((12, 1, size, size, 3), dtype="float32")
    state = tuple(
        random.normal(size=(1, size, size, 4)).astype("float32") for _ in body
    )
    for deviation in (1e-2, 1.0, 30.0):
        other = tuple(
            s + deviation * random.normal(size=s.shape).astype("float32") for s in state
        )
        a, b = state, other
        for frame in frames:
            before = np.array(
                [np.linalg.norm(x - y) for x, y in zip(a, b, strict=True)]
            )
            (_, a), (_, b) = model.step(frame, a), model.step(frame, b)
            after = np.array([np.linalg.norm(x - y) for x, y in zip(a, b, strict=True)])
            # Differences of float32 maps of size about 10: 1e-5 for rounding.
            assert (after <= g @ before * (1 + 1e-4) + 2e-5).all()
        start = deviation * (size * size * 4) ** 0.5
        # The whole bound, over all twelve frames.
        limit = np.linalg.matrix_power(g, 12) @ np.full(n, 1.2 * start)
        assert (after <= limit + 2e-5).all()


def test_constrained_loops_forget_and_free_ones_need_not():
    # The same large weights: free they blow up, held they stay bounded.
    held = build("vresnet_feat", deviation=0.35).fold()
    free = models.build("vresnet_feat", features=4, blocks=3)
    for mine, other in zip(convs(held), convs(free), strict=True):
        other.kernel.assign(mine.kernel)
        other.bias.assign(mine.bias)
    random = np.random.default_rng(0)
    for stage in free.cell.body:
        kernel = stage.conv1.kernel.numpy()
        kernel[:, :, 4:] = 0.35 * random.normal(size=kernel[:, :, 4:].shape)
        stage.conv1.kernel.assign(kernel)
    frames = random.random((1, 60, 8, 8, 3), dtype="float32")
    assert np.abs(held.predict(frames, verbose=0)).max() < 1e4
    assert not np.abs(free.predict(frames, verbose=0)).max() < 1e8
