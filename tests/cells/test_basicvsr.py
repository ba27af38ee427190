"""BasicVSR against NumPy float64, and what it is trained, held and proved with.

Tested: the pyramid flow and whole clips (one to three frames) against the equations
written out, sides that the pyramid does not divide included; the trunk by itself; the
first frame of each direction; parameter counts; initial kernels; `.keras`; a training
step; constraint and folding; the loops and the certificate.
Not tested: training to a quality.
"""

import keras
import numpy as np
import pytest
import witness
import witness_flow
from layer_check import randomise

from stablevid_tf import diagnostics, models
from stablevid_tf.cells import PyramidFlow
from stablevid_tf.constraints import SRNC

SMALL = {"features": 4, "blocks": 1, "levels": 2}


def clip(length=3, height=9, width=10, seed=0):
    """Smooth pictures: rounding of a flow then changes little."""
    random = np.random.default_rng(seed)
    fine = witness_flow.resize(random.random((length, 4, 4, 3)), height, width)
    return fine[None].astype("float32")


def small(**arguments):
    model = models.build("basicvsr", **SMALL | arguments)
    randomise(model)
    network = model.network
    heads = network.forward_body[0], network.backward_body[0]
    # Kernels that keep a signal's size: else other frames would hardly be seen.
    for conv in (*heads, network.fusion, *network.up, network.last, network.tail):
        conv.kernel.assign(3 * conv.kernel)
    return model


def pair(conv):
    return tuple(np.asarray(w, np.float64) for w in (conv.kernel, conv.bias))


def flow_weights(flow):
    return [[pair(conv) for conv in net] for net in flow.nets]


def trunk_weights(body):
    head, *blocks = body
    return {
        "head": pair(head),
        "body": [[pair(c) for c in block.convs] for block in blocks],
    }


def weights(network):
    return {
        "features": network.features,
        "flow": flow_weights(network.flow),
        "forward": trunk_weights(network.forward_body),
        "backward": trunk_weights(network.backward_body),
        "fusion": pair(network.fusion),
        "up": [pair(conv) for conv in network.up],
        "last": pair(network.last),
        "tail": pair(network.tail),
    }


@pytest.mark.parametrize("levels, size", [(1, (7, 5)), (2, (8, 12)), (3, (13, 18))])
def test_pyramid_flow_against_numpy(levels, size):
    flow = PyramidFlow(levels)
    reference, other = clip(2, *size)[0][:, None]
    flow(reference, other)
    randomise(flow)
    for net in flow.nets:
        net[-1].kernel.assign(4 * net[-1].kernel)
    found = np.asarray(flow(reference, other))
    wanted = witness_flow.spynet(flow_weights(flow), reference, other)
    assert found.shape == (1, *size, 2)
    assert np.abs(wanted).max() > 0.5 and np.ptp(wanted) > 0.5
    # Float32 sums of some thousand products, level upon level.
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max() + 1e-4)


@pytest.mark.parametrize("length", [1, 3])
def test_clip_against_numpy(length):
    model, frames = small(), clip(length)
    restored = model.predict(frames, verbose=0)
    wanted = witness_flow.basicvsr(weights(model.network), frames.astype("float64"))
    assert restored.shape == (1, length, 36, 40, 3)
    # A twentieth of what frames two away change (see below).
    np.testing.assert_allclose(restored, wanted, atol=1e-4)


def test_trunk_against_numpy():
    network, frames = small().network, clip(2)
    # One frame alone: nothing is warped in.
    found = network._along(network.forward_body, frames[:, :1])
    wanted = witness_flow.trunk(
        trunk_weights(network.forward_body), frames[:, 0], np.zeros((1, 9, 10, 4))
    )
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_both_directions_reach_every_frame():
    model, frames = small(), clip(3)
    before = model.predict(frames, verbose=0)
    for changed, seen in ((0, 2), (2, 0)):
        other = frames.copy()
        other[:, changed] = 1 - other[:, changed]
        after = model.predict(other, verbose=0)
        assert np.abs(after - before)[:, seen].max() > 2e-3


def test_parameters():
    model = models.build("basicvsr")
    network = model.network
    assert model.count_params() == 6_291_311
    assert network.flow.count_params() == 1_440_300
    for body in (network.forward_body, network.backward_body):
        assert sum(layer.count_params() for layer in body) == 2_254_336
    assert not model.causal and not hasattr(model, "step")


def test_residual_kernels_start_small():
    network = models.build("basicvsr", features=32, blocks=2, levels=1).network
    for block in (*network.forward_body[1:], *network.backward_body[1:]):
        for conv in block.convs:
            # He's deviation is sqrt(2 / 288), a tenth of it; 9,216 values drawn.
            wanted = 0.1 * (2 / (9 * 32)) ** 0.5
            assert abs(conv.kernel.numpy().std() / wanted - 1) < 0.05


def test_fit_moves_every_weight_and_saves(tmp_path):
    model, frames = small(), clip(3, 8, 8)
    wanted = frames.repeat(4, axis=2).repeat(4, axis=3)
    optimizer = keras.optimizers.Adam(1e-2, epsilon=1e-16)
    model.compile(optimizer, "mse", run_eagerly=True)
    before = [v.numpy() for v in model.trainable_variables]
    losses = model.fit(frames, wanted, epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded(frames).numpy(), model(frames).numpy())


@pytest.mark.large
def test_constrained_trained_and_folded():
    held = SRNC(2.0, 0.2, frame_size=8)
    model = models.build("basicvsr", features=8, blocks=1, levels=1, constraint=held)
    model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
    frames = clip(2, 8, 8)
    wanted = frames.repeat(4, axis=2).repeat(4, axis=3)
    assert np.isfinite(model.fit(frames, wanted, verbose=0).history["loss"][0])
    twin = model.fold()
    for conv in (twin.network.forward_body[0], *twin.network.flow.nets[0][1:3]):
        assert witness.norm(conv.kernel.numpy(), 7) <= 2.0
    y, folded = model.predict(frames, verbose=0), twin.predict(frames, verbose=0)
    assert np.isfinite(folded).all() and np.abs(y - folded).max() < 0.2


def test_loops_and_certificate():
    model = small()
    found = diagnostics.certify(model)
    assert [loop.name for loop in found.loops] == ["forward", "backward"]
    assert found.norm == "infinity" and not found.certified
    for body in (model.network.forward_body, model.network.backward_body):
        body[0].kernel.assign(0.005 * body[0].kernel)
    found = diagnostics.certify(model)
    assert found.certified
    # The bound holds for one step: features that differ, the same frame and flow.
    network, random = model.network, np.random.default_rng(0)
    frame = clip(1)[:, 0]
    ends, starts = [], random.normal(size=(2, 1, 9, 10, 4)).astype("float32")
    flow = random.normal(size=(1, 9, 10, 2)).astype("float32")
    for start in starts:
        x = witness_flow.warp(start, flow)
        ends.append(witness_flow.trunk(trunk_weights(network.forward_body), frame, x))
    apart = np.abs(np.subtract(*starts)).max()
    assert 0 < np.abs(ends[0] - ends[1]).max() <= found.contraction * apart


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"scale": 2}, "does not take"),
        ({"blocks": 0}, "blocks must be a positive"),
        ({"levels": 0}, "levels must be a positive"),
        ({"constraint": SRNC(0.9, where="loop")}, "infinity norm"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        models.build("basicvsr", **arguments)
