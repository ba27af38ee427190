"""Dampening: a twin whose recurrent slices are scaled.

Tested: equal to the cell in NumPy with its state multiplied before every step, for
each recurrence with a loop; constrained models; that only state slices change, and no
weight of the model itself; models without declared loops, or without any; bad factors.
Not tested: what dampening does for stability and quality.
"""

import keras
import numpy as np
import pytest
import witness

from stablevid_tf import models, streaming
from stablevid_tf.cells import RecurrentVideoCell
from stablevid_tf.cells.feat_cell import FeatCell
from stablevid_tf.constraints import SRNC
from stablevid_tf.models import dampened

STAGES = {"vdncnn": "depth", "vresnet": "blocks"}


def build(name, **arguments):
    keras.utils.set_random_seed(0)
    stages = {STAGES[name.split("_")[0]]: 2}
    model = models.build(name, features=4, **stages, **arguments)
    random = np.random.default_rng(0)
    for conv in convs(model):
        scale = 0.7 / np.prod(conv.kernel.shape[:-1]) ** 0.5
        conv.kernel.assign(scale * random.normal(size=conv.kernel.shape))
        conv.bias.assign(0.1 * random.normal(size=conv.bias.shape))
    return model


def convs(model):
    return [layer for layer in model._flatten_layers() if hasattr(layer, "kernel")]


def weights(cell):
    """The cell's kernels and biases, as the witness takes them."""
    pair = lambda conv: (conv.kernel.numpy(), conv.bias.numpy())  # noqa: E731
    return {
        "head": pair(cell.head),
        "body": [[pair(conv) for conv in stage.convs] for stage in cell.body],
        "tail": pair(cell.tail),
    }


def by_hand(model, frames, factor):
    """The witness' cell, its state multiplied by `factor` before every step."""
    recurrence = model.name.split("_")[1]
    seen = witness.windows(frames[None], model.window)
    state, found = None, []
    for t in range(len(frames)):
        state = state and [factor * s for s in state]
        out, state = witness.step(recurrence, weights(model.cell), seen[:, t], state)
        found.append(out[0])
    return np.stack(found)


@pytest.mark.parametrize("factor", [0.0, 0.55, 1.0])
@pytest.mark.parametrize(
    "name", ["vresnet_feat", "vdncnn_feat", "vresnet_frame", "vdncnn_rlsp_mf3"]
)
def test_equals_the_cell_with_its_state_multiplied(name, factor):
    model = build(name)
    frames = np.random.default_rng(1).random((6, 9, 11, 3), np.float32)
    out = np.stack(list(streaming.restore(model, frames, streaming.Dampen(factor))))
    # float32 against float64, values of about 1.
    np.testing.assert_allclose(out, by_hand(model, frames, factor), atol=2e-5)
    if factor == 0.55:
        assert np.abs(out - by_hand(model, frames, 1.0)).max() > 1e-2


def test_only_the_state_slices_change_and_the_model_stays():
    model = build("vresnet_feat")
    before = [w.copy() for w in model.get_weights()]
    twin = dampened(model, 0.5)
    for mine, other in zip(model.cell.body, twin.cell.body, strict=True):
        a, b = mine.conv1.kernel.numpy(), other.conv1.kernel.numpy()
        np.testing.assert_array_equal(b[:, :, :4], a[:, :, :4])
        np.testing.assert_array_equal(b[:, :, 4:], 0.5 * a[:, :, 4:])
    others = [c for c in convs(model) if c.kernel.shape[2] != 8]
    twins = [c for c in convs(twin) if c.kernel.shape[2] != 8]
    # Two second convolutions, the head and the tail.
    assert len(others) == 4
    for mine, other in zip(others, twins, strict=True):
        np.testing.assert_array_equal(other.kernel, mine.kernel)
    for mine, other in zip(convs(model), convs(twin), strict=True):
        np.testing.assert_array_equal(other.bias, mine.bias)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("where", ["all", "loop"])
def test_a_constrained_model_is_folded_first(where):
    constraint = SRNC(0.8, where=where, frame_size=8)
    model = build("vresnet_feat", constraint=constraint)
    folded, twin = model.fold(), dampened(model, 0.5)
    for mine, other in zip(folded.cell.body, twin.cell.body, strict=True):
        a, b = mine.conv1.kernel.numpy(), other.conv1.kernel.numpy()
        np.testing.assert_array_equal(b[:, :, 4:], 0.5 * a[:, :, 4:])
        np.testing.assert_array_equal(other.conv2.kernel, mine.conv2.kernel)


def test_a_clip_model_is_dampened_both_ways():
    model = build("vresnet_birlsp")
    twin = dampened(model, 0.25)
    for mine, other in zip(model.loops(), twin.loops(), strict=True):
        a, b = mine.entry.conv.kernel.numpy(), other.entry.conv.kernel.numpy()
        np.testing.assert_array_equal(b[:, :, 4:], 0.25 * a[:, :, 4:])


class Undeclared(FeatCell):
    loops = RecurrentVideoCell.loops


def test_what_cannot_be_dampened_is_refused_before_any_frame(delay):
    frames = [np.zeros((8, 8, 3), np.float32)]
    with pytest.raises(ValueError, match=r"delay does not declare.*burst or guard"):
        streaming.restore(delay(), frames, "dampen")
    undeclared = models.RecurrentRestorer(Undeclared(features=4, stages=1), name="own")
    with pytest.raises(ValueError, match="own does not declare its feedback loops"):
        dampened(undeclared, 0.5)
    with pytest.raises(ValueError, match="vresnet_shift has no feedback loop"):
        dampened(build("vresnet_shift"), 0.5)


@pytest.mark.parametrize("factor", [-0.1, 1.1, float("nan")])
def test_bad_factors(factor):
    with pytest.raises(ValueError, match="from 0 to 1"):
        streaming.Dampen(factor)
    if not factor > 0:
        with pytest.raises(ValueError, match="0 or more"):
            dampened(build("vresnet_feat"), factor)
