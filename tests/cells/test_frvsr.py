"""FRVSR against NumPy float64, and what it is trained, held and proved with.

Tested: flow network and one step at scales 4 and 1 against the equations written out;
whole clip = steps, bit for bit, and = the flows computed ahead; sides that 8 does not
divide; the loss on the warped frame, its gradient and its absence; parameter counts;
`.keras`; constraint, a training step, folding; the certificate, and what it bounds.
Not tested: training to a quality.
"""

import keras
import numpy as np
import pytest
import witness
import witness_flow
from layer_check import randomise

from stablevid_tf import backend, diagnostics, models
from stablevid_tf.cells import FNet
from stablevid_tf.cells.unroll import unroll
from stablevid_tf.constraints import SRNC
from stablevid_tf.layers.bicubic import enlarge

SMALL = {"features": 4, "blocks": 2, "flow_features": 4}


def small(scale=4, seed=0, **arguments):
    model = models.build("frvsr", scale=scale, **SMALL | arguments)
    randomise(model, seed)
    for conv in model.cell.flow.body:
        # Keep the signal alive over fourteen layers, so that flows are no zeros.
        conv.kernel.assign(2 * conv.kernel)
    # No dead ReLU on the way of the state, which would then test nothing.
    for conv in (model.cell.head, *model.cell.up, model.cell.tail):
        conv.kernel.assign(2 * conv.kernel)
        conv.bias.assign(1 + abs(conv.bias.numpy()))
    return model


def clip(length=3, height=10, width=9, seed=0):
    """Smooth pictures: rounding of a flow then changes little."""
    random = np.random.default_rng(seed)
    coarse = random.random((2 * length, 4, 4, 3))
    fine = witness_flow.resize(coarse, height, width)
    return fine.reshape(2, length, height, width, 3).astype("float32")


def pair(conv):
    return tuple(np.asarray(w, np.float64) for w in (conv.kernel, conv.bias))


def flow_weights(net):
    return [pair(conv) for conv in (*net.body, net.gather, net.tail)]


def weights(cell):
    return {
        "flow": flow_weights(cell.flow),
        "head": pair(cell.head),
        "body": [[pair(c) for c in block.convs] for block in cell.body],
        "up": [pair(conv) for conv in cell.up],
        "tail": pair(cell.tail),
    }


@pytest.mark.parametrize("size", [(8, 16), (13, 18), (3, 1)])
def test_flow_network_against_numpy(size):
    net = FNet(features=4)
    frames = clip(1, *size)[:, 0]
    before, after = frames[:1], frames[1:]
    net(before, after)
    randomise(net)
    for conv in net.body:
        conv.kernel.assign(2 * conv.kernel)
    flow = np.asarray(net(before, after))
    wanted = witness_flow.fnet(flow_weights(net), before, after)
    assert flow.shape == (1, *size, 2) and np.abs(wanted).max() > 1
    # Fourteen float32 convolutions.
    np.testing.assert_allclose(flow, wanted, atol=1e-4)


@pytest.mark.parametrize("scale", [4, 1])
def test_step_against_numpy(scale):
    model = small(scale)
    frames = clip(2)
    output = np.random.default_rng(1).random((2, 10 * scale, 9 * scale, 3))
    output = witness_flow.resize(output[:, ::5, ::5], 10 * scale, 9 * scale)
    state = (frames[:, 0], output.astype("float32"))
    restored, (before, after) = model.step(frames[:, 1], state)
    wanted, flow = witness_flow.frvsr(
        weights(model.cell),
        frames[:, 1].astype("float64"),
        frames[:, 0],
        output,
        scale,
        # Recomputed in test_rlsp_super_resolution.py.
        np.asarray(enlarge(frames[:, 1], scale)),
    )
    assert np.abs(flow).max() > 0.5  # something is warped
    other, _ = model.step(frames[:, 1], (frames[:, 0], 0 * state[1]))
    assert np.abs(other - wanted).max() > 0.05  # and what is warped matters
    np.testing.assert_allclose(restored, wanted, atol=2e-4)
    np.testing.assert_array_equal(after, restored)
    np.testing.assert_array_equal(before, frames[:, 1])


@pytest.mark.parametrize("scale", [4, 1])
def test_whole_clip_steps_and_flows_ahead_agree(scale):
    model = small(scale)
    frames = clip(4, 13, 18)
    whole = model.predict(frames, verbose=0)
    assert whole.shape == (2, 4, 13 * scale, 18 * scale, 3)
    state = model.initial_state(frames[:, 0])
    for t in range(4):
        out, state = model.step(frames[:, t], state)
        # The same operations on the same numbers.
        np.testing.assert_array_equal(out, whole[:, t])
    ahead, _ = unroll(model.cell, keras.ops.convert_to_tensor(frames), training=True)
    # Convolutions of a larger batch may sum in another order.
    np.testing.assert_allclose(ahead, whole, atol=1e-4)


def test_the_first_flow_moves_nothing():
    model = small()
    frames = clip(1)
    before = model.predict(frames, verbose=0)
    for variable in model.cell.flow.variables:
        variable.assign(3 * variable)
    np.testing.assert_array_equal(model.predict(frames, verbose=0), before)


def test_parameters():
    for scale, count in ((4, 2_589_093), (1, 2_489_317)):
        model = models.build("frvsr", scale=scale)
        assert model.count_params() == count
        assert model.cell.flow.count_params() == 1_745_506


def test_the_flow_has_a_loss_of_its_own():
    frames = clip(3)
    model = small(warp_loss=0.5)
    model(frames)
    assert not model.losses
    model(frames, training=True)
    (loss,) = model.losses
    net, errors = flow_weights(model.cell.flow), []
    for t in (1, 2):
        flow = witness_flow.fnet(net, frames[:, t - 1], frames[:, t])
        warped = witness_flow.warp(frames[:, t - 1], flow, "border")
        errors.append((warped - frames[:, t]) ** 2)
    np.testing.assert_allclose(loss, 0.5 * np.mean(errors), rtol=1e-3)
    without = small(warp_loss=0)
    without(frames, training=True)
    assert not without.losses
    model(frames[:, :1], training=True)
    assert float(model.losses[0]) == 0


@pytest.mark.large
def test_fit_trains_flow_and_picture_and_learns_a_shift():
    keras.utils.set_random_seed(0)
    picture = witness_flow.resize(np.random.default_rng(0).random((1, 6, 6, 3)), 24, 24)
    frames = np.stack([picture[:, 4:20, 4 + t : 20 + t] for t in range(3)], 1)
    frames = frames.astype("float32")
    model = models.build("frvsr", scale=1, warp_loss=10.0, **SMALL)
    model.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
    before = [v.numpy() for v in model.trainable_variables]
    history = model.fit(frames, frames, epochs=40, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path


def test_saved_and_loaded(tmp_path):
    model = small()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    frames = clip(3)
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded(frames).numpy(), model(frames).numpy())


@pytest.mark.large
def test_constrained_trained_and_folded():
    held = SRNC(2.0, 0.2, frame_size=8)
    arguments = {"features": 8, "blocks": 1, "flow_features": 8}
    with pytest.raises(ValueError, match="beta"):
        # Two filters cannot have a stable rank of 0.05.
        models.build("frvsr", constraint=SRNC(2.0, 0.05, frame_size=8), **arguments)
    model = models.build("frvsr", constraint=held, **arguments)
    model.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=False)
    frames = clip(2, 8, 8)
    wanted = frames.repeat(4, axis=2).repeat(4, axis=3)
    assert np.isfinite(model.fit(frames, wanted, verbose=0).history["loss"][0])
    twin = model.fold()
    assert {type(c) for c in twin.cell.up} == {keras.layers.Conv2DTranspose}
    for conv in twin.cell.up:
        assert witness.norm(conv.kernel.numpy(), 12, 2) <= 2.0
    y, folded = model.predict(frames, verbose=0), twin.predict(frames, verbose=0)
    assert np.isfinite(folded).all() and np.abs(y - folded).max() < 0.2


def test_certificate():
    model = small(1)
    found = diagnostics.certify(model)
    assert not found.certified and found.norm == "infinity"
    assert len(found.loops[0].factors) == 1 + 2 * 2 + 1
    model = small(4)
    for conv in (model.cell.head, model.cell.tail, *model.cell.up):
        conv.kernel.assign(0.05 * conv.kernel)
    found = diagnostics.certify(model)
    assert found.certified and 0 < found.contraction < 1
    # Two states that saw the same frame before: no more than the gain apart after.
    frames, random = clip(2), np.random.default_rng(2)
    outputs = random.random((2, 2, 40, 36, 3)).astype("float32")
    ends = [model.step(frames[:, 1], (frames[:, 0], o))[0] for o in outputs]
    apart = np.abs(np.subtract(*outputs)).max()
    assert 0 < np.abs(ends[0] - ends[1]).max() <= found.contraction * apart


def test_forward_mode_is_the_finite_difference():
    # What the growth rate of a perturbation is measured with.
    model, frames, random = small(), clip(2), np.random.default_rng(3)
    output = random.random((2, 40, 36, 3)).astype("float32")
    tangent = random.normal(size=output.shape).astype("float32")
    before = keras.ops.convert_to_tensor(frames[:, 0])
    step = lambda y: model.cell(frames[:, 1], (before, y))[0]  # noqa: E731
    given = [keras.ops.convert_to_tensor(x) for x in (output, tangent)]
    _, moved = backend.jvp(step, *given)
    ends = [np.asarray(step(output + s * 1e-3 * tangent)) for s in (1, -1)]
    # Float32 differences, and ReLUs that change side for a few pixels.
    error = np.abs(np.subtract(*ends) / 2e-3 - moved)
    assert np.abs(moved).max() > 1e-2
    assert np.median(error) < 1e-3 and error.mean() < 0.05 * np.abs(moved).mean()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"scale": 2}, "scale 4 or 1"),
        ({"warp_loss": -1}, "warp_loss is a weight"),
        ({"blocks": 0}, "blocks must be a positive"),
        ({"flow_features": 0}, "flow features must be a positive"),
        ({"constraint": SRNC(0.9, where="loop")}, "where='all' or 'body'"),
        ({"constraint": SRNC(0.9, where="loop"), "scale": 1}, "infinity norm"),
        ({"depth": 3}, "does not take"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        models.build("frvsr", **arguments)
