"""Loops of the deblurring networks and of RIRN's add-ons.

Tested: gain bounds against NumPy, from norms on a fine frequency grid, with batch
normalisation folded in, GELU's slope, dense blocks and the two ways through an IRM;
that a step keeps to them; `where="loop"`; that gates and blending say that there is no
proof, and why; what dampening answers.
Not tested: norms of single convolutions (tests/numerics).
"""

import math

import keras
import numpy as np
import pytest
import scipy.special
import witness
from test_deblurring import SMALL, fill, maps

from stablevid_tf import layers, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.diagnostics import certify
from stablevid_tf.layers.residual_dense_stage import GELU_SLOPE

ALPHA = 0.9


def build(name, where=None):
    constraint = SRNC(ALPHA, where=where, frame_size=8) if where else None
    base = "ifi_rnn" if name.startswith("ifi") else name.split("_")[0]
    model = models.build(name, constraint=constraint, **SMALL[base])
    fill(model)
    return model


def norm(conv, start=None, gain=1.0):
    kernel = conv.kernel.numpy().astype("float64")[:, :, start:] * gain
    return witness.symbol_norm(kernel, 64)


def residual(stage, start=None):
    return 1 + norm(stage.conv1, start) * norm(stage.conv2)


def dense(stage, start=None):
    product = norm(stage.fuse, start)
    for conv in stage.dense:
        product *= math.sqrt(1 + (1.129 * norm(conv, start)) ** 2)
    return 1 + product


def by_hand(cell):
    """The gain bound from h(t-1) to h(t), written out for each network."""
    name, u = type(cell).__name__, getattr(cell, "features", None)
    if name == "IFIRNN":
        gain = residual(cell.body[0], 3 * u) * residual(cell.body[1])
        first, block, last = cell.to_hidden
        return gain * norm(first) * residual(block) * norm(last)
    if name == "STRCNN":
        gain = norm(cell.to_hidden)
        for stage, start in zip(cell.body, (u, None), strict=True):
            scales = [
                n.gamma.numpy() / np.sqrt(n.moving_variance.numpy() + 1e-3)
                for n in (stage.norm1, stage.norm2)
            ]
            first = norm(stage.conv1, start, scales[0])
            gain *= 1 + first * norm(stage.conv2, gain=scales[1])
        return gain
    if name == "RDBN":
        level = dense(cell.body[0], 4 * u)
        both = math.hypot(level, level * dense(cell.body[1]))
        first, block, last = cell.to_hidden
        both *= norm(cell.gather[0]) * norm(cell.gather[1])
        return both * norm(first) * dense(block) * norm(last)
    # An IRM on the hidden state: [h(t), h~(t-1)].
    gain = math.hypot(1, by_hand(cell.cell))
    for conv in (*cell.convs, cell.narrow):
        gain *= norm(conv)
    return gain * residual(cell.block1) * residual(cell.block2)


def test_the_slope_of_gelu():
    x = np.linspace(-5, 5, 100_001)
    slope = 0.5 * (1 + scipy.special.erf(x / 2**0.5))
    slope += x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    assert 0 <= GELU_SLOPE - np.abs(slope).max() < 2e-4


@pytest.mark.parametrize("name", ["ifi_rnn", "strcnn", "rdbn", "ifi_rnn_irm"])
def test_gain_bounds_and_a_step_within_them(name):
    model = build(name)
    found = certify(model)
    (bound,) = found.loops
    # Each norm lies at most 0.24 % (3x3) above its supremum, of which the grid of 64
    # misses as much; 21 of them at most.
    assert 1 <= bound.gain / by_hand(model.cell) < 1.005**21
    assert not found.certified and "may have a gain of 1 or more" in found.reason
    frame = maps(model.window * 3) * 0.1
    hidden, _ = model.cell.initial_state(frame[..., :3])
    for size in (1e-2, 3.0):
        other = (
            hidden
            + size
            * maps(hidden.shape[-1])[:, : hidden.shape[1]][:, :, : hidden.shape[2]]
        )
        _, (a, _) = model.cell.propagate(frame, (hidden, ()))
        _, (b, _) = model.cell.propagate(frame, (other, ()))
        grown = np.linalg.norm(b - a) / np.linalg.norm(other - hidden)
        assert 1e-3 < grown <= bound.gain


def test_a_dense_block_keeps_to_its_gain():
    convs = [keras.layers.Conv2D(3, 3, padding="same") for _ in range(3)]
    stage = layers.ResidualDenseStage(convs, keras.layers.Conv2D(4, 1))
    x = maps(4)
    stage(x)
    fill(stage)
    # Only the last two channels differ: their slices alone count.
    apart = maps(4, seed=5) * [0, 0, 1, 1]
    grown = np.linalg.norm(stage(x + apart) - stage(x)) / np.linalg.norm(apart)
    assert 0.5 < grown < dense(stage, 2) < dense(stage)


@pytest.mark.parametrize(
    "name",
    [
        "ifi_rnn_irm_irm",
        *(
            pytest.param(name, marks=pytest.mark.large)
            for name in ("ifi_rnn", "rdbn", "rdbn_irm")
        ),
    ],
)
def test_held_loops_are_certified(name):
    free = certify(build(name))
    assert all(loop.gain > 1.5 for loop in free.loops)
    model = build(name, "loop").fold()
    found = certify(model)
    assert found.certified
    assert 0.98 * ALPHA < found.contraction <= ALPHA
    assert len(found.loops) == (2 if name.endswith("irm_irm") else 1)
    # Two states, the same frames: after some frames they agree.
    frame = maps(3) * 0.1
    state = model.initial_state(frame)
    other = keras.tree.map_structure(lambda s: s + 1.0, state)
    for _ in range(40):
        a, state = model.step(frame, state)
        b, other = model.step(frame, other)
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(
    "name, words",
    [
        ("gru", "hidden state: the reset gate multiplies the state"),
        ("lstm_irm", "hidden state: the forget gate multiplies the cell state"),
        ("ifi_rnn_atb", "blended features: the blending weights multiply"),
        ("ifi_rnn_atb_atb", "hidden state: the blending weights multiply"),
    ],
)
def test_gates_have_no_proof_and_say_so(name, words):
    found = certify(build(name))
    assert not found.certified and found.contraction is None
    assert f"No proof is possible: {words}" in found.reason
    with pytest.raises(ValueError, match=f"No gain can be held: {words}"):
        build(name, "loop")


def test_batch_normalisation_cannot_be_held():
    with pytest.raises(ValueError, match="batch normalisation"):
        build("strcnn", "loop")


def test_dampening_is_refused_where_the_state_enters_by_a_skip():
    for name in ("ifi_rnn", "lstm"):
        with pytest.raises(ValueError, match="state of 'hidden state' also enters"):
            models.dampened(build(name), 0.5)
