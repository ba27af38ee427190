"""FlowModel and WarpError: a flow network trained without true flows.

Tested: the loss against NumPy float64, at every size of flow; that the true shift has
the least error and that edges excuse bends; flows of every pair of frames and level;
the sum of the levels' losses; training finds a shift, and the trained layer is the
network's own; saving and configurations.
Not tested: flow of real video (examples/train_flow.py).
"""

import keras
import numpy as np
import pytest
import witness_flow
import witness_memory
from layer_check import randomise

from stablevid_tf.cells import LightFlow
from stablevid_tf.training import FlowModel, WarpError


def clip(length=3, height=16, width=16, batch=2, seed=0):
    coarse = np.random.default_rng(seed).random((batch * length, 5, 5, 3))
    fine = witness_flow.resize(coarse, height, width)
    return fine.reshape(batch, length, height, width, 3).astype("float32")


def shifted(pixels=4, length=3, side=32, seed=1):
    """A picture that moves to the right, `pixels` a frame."""
    coarse = np.random.default_rng(seed).random((1, 10, 10, 3))
    wide = witness_flow.resize(coarse, side, side + pixels * length)
    starts = [pixels * (length - 1 - t) for t in range(length)]
    return np.stack([wide[:, :, s : s + side] for s in starts], 1).astype("float32")


@pytest.mark.parametrize("block", [1, 2, 4])
def test_the_loss_against_numpy(random, block):
    clean = clip(3, 16, 8)
    shape = (2, 2, 16 // block, 8 // block, 2)
    flow = random.normal(size=shape).astype("float32")
    for options in ({}, {"smoothness": 0.5, "epsilon": 0.1}):
        wanted = witness_memory.warp_error(
            clean, flow, **{"smoothness": 0.02, "epsilon": 1e-3} | options
        )
        # Float32 warps, squares and exponentials.
        assert float(WarpError(**options)(clean, flow)) == pytest.approx(wanted, 1e-4)


def test_the_true_shift_has_the_least_error():
    clean = shifted()
    errors = {
        right: float(WarpError()(clean, np.full((1, 2, 16, 16, 2), [right, 0.0])))
        for right in (-4.0, -2.0, 0.0, 2.0)
    }
    # 4 pixels to the right are 2 of half size, and a flow points back.
    assert min(errors, key=errors.get) == -2.0
    assert errors[-2.0] < 0.3 * errors[0.0]


def test_edges_excuse_bends():
    flow = np.zeros((1, 1, 8, 8, 2), "float32")
    flow[..., 4:, 0] = 1.0
    flat = np.full((1, 2, 8, 8, 3), 0.5, "float32")
    edge = flat.copy()
    edge[..., 4:, :] = 1.0
    only = WarpError(smoothness=1.0, epsilon=1e-6)
    rough = [float(only(x, flow) - only(x, 0 * flow)) for x in (flat, edge)]
    # The warp of the edge itself costs too, so this is an upper bound.
    match = witness_memory.warp_error(edge, flow, 0.0, 1e-6)
    assert 0 < rough[1] - match < 0.1 * rough[0]


def test_flows_of_every_pair_and_level():
    flow = LightFlow(4, levels=2)
    model, frames = FlowModel(flow), clip(4)
    found = model(frames)
    randomise(model)
    found = model(frames)
    assert [f.shape for f in found] == [(2, 3, 4, 4, 2), (2, 3, 8, 8, 2)]
    for t in range(3):
        pyramid = flow.pyramid(frames[:, t], frames[:, t + 1])
        for whole, one in zip(found, pyramid, strict=True):
            np.testing.assert_allclose(whole[:, t], one, atol=1e-5)  # other batches
    noisy = frames + 0.1
    model.compile("sgd", WarpError(), run_eagerly=True)
    loss = model.evaluate(noisy, frames, verbose=0)
    wanted = sum(
        witness_memory.warp_error(frames, np.asarray(f), 0.02, 1e-3)
        for f in model(noisy)
    )
    assert loss == pytest.approx(wanted, rel=1e-4)


def test_training_finds_a_shift(tmp_path):
    keras.utils.set_random_seed(0)
    flow = LightFlow(8, levels=1)
    model, frames = FlowModel(flow), shifted(2, 2)
    model.build(frames.shape)
    before = flow.get_weights()
    model.compile(keras.optimizers.Adam(1e-2), WarpError(), jit_compile=False)
    steps = 60
    model.fit(frames.repeat(steps, 0), frames.repeat(steps, 0), batch_size=1, verbose=0)
    for a, b in zip(before, flow.get_weights(), strict=True):
        assert not np.array_equal(a, b)
    found = np.asarray(flow(frames[:, 0], frames[:, 1]))
    # Where the picture was seen before; a pixel of half size is two.
    error = np.abs(found - [-1.0, 0.0])[:, 2:-2, 2:-2].mean(axis=(0, 1, 2))
    assert error.max() < 0.4
    model.save_weights(tmp_path / "flow.weights.h5")
    # As a recipe starts a network's own flow from it.
    other = LightFlow(8, levels=1)
    taker = FlowModel(other)
    taker.build((None, None, None, None, 3))
    taker.load_weights(tmp_path / "flow.weights.h5")
    np.testing.assert_array_equal(other(frames[:, 0], frames[:, 1]), found)


def test_saved_and_loaded(tmp_path):
    model, frames = FlowModel(LightFlow(4, levels=2), name="flow"), clip(2)
    model(frames)
    randomise(model)
    model.compile("sgd", WarpError(0.1, 0.01))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.flow.get_config() == model.flow.get_config()
    assert loaded.loss.get_config() == model.loss.get_config()
    assert (loaded.loss.smoothness, loaded.loss.epsilon) == (0.1, 0.01)
    for a, b in zip(loaded(frames), model(frames), strict=True):
        np.testing.assert_array_equal(a, b)
