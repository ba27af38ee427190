"""LightFlow against NumPy float64.

Tested: the flows of every level and of sides that its blocks do not divide; cost
volumes; shape and type under mixed precision; untrained it moves nothing; errors.
Not tested: training (tests/training/test_flow_model.py); configuration and saving
(tests/layers/test_every_layer.py).
"""

import numpy as np
import pytest
import witness_flow
import witness_memory
from layer_check import randomise

from stablevid_tf.cells import LightFlow
from stablevid_tf.cells.light_flow import _cost


def frames(height, width, seed=0):
    """Two smooth pictures: rounding of a flow then changes little."""
    coarse = np.random.default_rng(seed).random((2, 4, 5, 3))
    return witness_flow.resize(coarse, height, width).astype("float32")[:, None]


def pair(conv):
    return tuple(np.asarray(w, np.float64) for w in (conv.kernel, conv.bias))


def nets(flow):
    return [[pair(conv) for conv in net] for net in flow.nets]


def moving(flow):
    """Weights of flows of some pixels."""
    randomise(flow)
    for net in flow.nets:
        for conv in net:
            conv.kernel.assign(2 * conv.kernel)
    return flow


@pytest.mark.parametrize("size, levels", [((16, 24), 3), ((13, 18), 3), ((5, 1), 2)])
def test_every_level_against_numpy(size, levels):
    before, after = frames(*size)
    flow = LightFlow(4, levels=levels)
    flow(before, after)
    moving(flow)
    found, pyramid = flow(before, after), flow.pyramid(before, after)
    wanted = witness_memory.flow_pyramid(nets(flow), before, after)
    assert np.abs(wanted[-1]).max() > 0.5  # something moves, and is warped
    assert found.shape == (1, -(-size[0] // 2), -(-size[1] // 2), 2)
    for a, b in zip(pyramid, wanted, strict=True):
        # Float32 convolutions and warps, level upon level.
        np.testing.assert_allclose(a, b, atol=1e-4)
    cut = wanted[-1][:, : found.shape[1], : found.shape[2]]
    np.testing.assert_allclose(found, cut, atol=1e-4)


@pytest.mark.parametrize("reach", [0, 2])
def test_cost_volumes(random, reach):
    first, second = random.random((2, 2, 4, 5, 3)).astype("float32")
    found = _cost(first, second, reach)
    np.testing.assert_allclose(
        found, witness_memory.cost(first, second, reach), atol=1e-6
    )
    assert found.shape[-1] == (2 * reach + 1) ** 2


def test_the_flow_is_float32_and_starts_at_rest():
    before, after = frames(16, 16)
    flow = LightFlow(8, levels=2, dtype="mixed_bfloat16")
    found = flow(before, after)
    assert found.dtype == "float32"
    assert 0 < np.abs(found).max() < 0.01
    plain = LightFlow(8, levels=2)
    plain(before, after)
    moving(plain)
    flow.set_weights(plain.get_weights())
    # Eight bits in every convolution; positions of warps are not rounded.
    np.testing.assert_allclose(flow(before, after), plain(before, after), atol=0.1)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"features": 0}, "flow features must be a positive"),
        ({"levels": 0}, "levels must be a positive"),
        ({"constraint": "srnc"}, "constraint must be"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        LightFlow(**arguments)
