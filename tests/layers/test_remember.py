"""`remember`, the update of a convex memory, and `UStage` against NumPy float64.

Tested: the equations, groups and scalars; the mean of all frames and the last frame as
limits; bounds: two memories contract by R or more, counters and weights keep below
theirs, nothing exceeds what was seen; a small U-Net against the equations, its sizes,
what it is untrained, the convolutions that it asks for, its configuration and what it
refuses.
Not tested: the networks around them (tests/cells/test_memory.py); saving a UStage
(test_every_layer.py).
"""

import keras
import numpy as np
import pytest
import witness_memory
from layer_check import randomise

from stablevid_tf.layers import UStage
from stablevid_tf.layers.remember import remember


def maps(random, channels, low=-1.0, high=1.0, height=3, width=5):
    shape = (2, height, width, channels)
    return random.uniform(low, high, shape).astype("float32")


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_the_equations(random, groups):
    value, memory = maps(random, 6), maps(random, 6)
    count, retention = maps(random, groups, 0, 40), maps(random, groups, 0, 1)
    found = remember(value, memory, count, retention)
    wanted = witness_memory.remember(value, memory, count, retention)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)  # float32


def test_all_frames_or_the_last_one(random):
    values = [maps(random, 4) for _ in range(9)]
    for retention, wanted in ((1.0, np.mean(values, axis=0)), (0.0, values[-1])):
        memory, count = np.zeros_like(values[0]), np.zeros_like(values[0][..., :1])
        for value in values:
            memory, count, weight = remember(value, memory, count, retention)
        np.testing.assert_allclose(memory, wanted, atol=1e-6)  # float32
        assert float(np.max(count)) == (9 if retention else 1)
        np.testing.assert_allclose(weight, (8 / 9 if retention else 0), rtol=1e-6)


@pytest.mark.parametrize("most", [0.98, 0.5])
def test_bounds_that_hold_for_every_value_and_gate(random, most):
    # Float64: nothing is rounded that a bound would have to allow for.
    draw = lambda n, *ends: maps(random, n, *ends).astype("float64")  # noqa: E731
    mine, other = draw(4, -3, 3), draw(4, -3, 3)
    count, largest = np.zeros_like(mine[..., :2]), 0.0
    first = np.zeros_like(mine)
    seen = first
    for t in range(80):
        value = draw(4, -2, 2)
        # From gates that keep all they may to gates that keep nothing.
        retention = most * draw(2, *((1, 1) if t % 3 else (0, 1)))
        before = np.abs(mine - other).max()
        mine, after, weight = map(np.asarray, remember(value, mine, count, retention))
        other, _, _ = remember(value, other, count, retention)
        seen, _, _ = remember(value, seen, count, retention)
        largest = max(largest, np.abs(value).max())
        count = after
        assert np.abs(mine - other).max() <= most * before * (1 + 1e-12)
        assert weight.max() <= most * (1 + 1e-12) and weight.min() >= 0
        assert count.max() <= 1 / (1 - most) * (1 + 1e-12)
        assert np.abs(seen).max() <= largest * (1 + 1e-12)
    # The bounds are reached: from both memories little is left, and weights are high.
    assert np.abs(mine - other).max() < 6 * most**20
    assert weight.max() > 0.5 * most


def plain(filters, kernel_size, **kwargs):
    return keras.layers.Conv2D(filters, kernel_size, padding="same", **kwargs)


def pair(conv):
    return tuple(np.asarray(w, np.float64) for w in (conv.kernel, conv.bias))


def weights(stage):
    blocks = lambda stages: [  # noqa: E731
        [[pair(c) for c in block.convs] for block in stage] for stage in stages
    ]
    return {
        "encoders": blocks(stage.encoders),
        "decoders": blocks(stage.decoders),
        "downs": [pair(c) for c in stage.downs],
        "ups": [pair(c) for c in stage.ups],
    }


@pytest.mark.parametrize(
    "widths, blocks", [((4,), (2,)), ((4, 6), (1, 2)), ((3, 4, 5), (2, 1, 1))]
)
def test_u_stage_against_numpy(random, widths, blocks):
    stage = UStage(widths, blocks, plain)
    x = maps(random, widths[0], height=12, width=8)
    stage(x)
    randomise(stage)
    for conv in stage.convs:
        conv.kernel.assign(2 * conv.kernel)
    found, wanted = stage(x), witness_memory.u_stage(weights(stage), x)
    assert found.shape == x.shape
    # Every resolution matters: without the coarsest the result is another.
    if stage.ups:
        kernel = stage.ups[-1].kernel.numpy()
        stage.ups[-1].kernel.assign(0 * kernel)
        assert np.abs(stage(x) - wanted).max() > 0.01
    # Float32 through up to a dozen convolutions.
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())


def test_the_configuration_of_a_u_stage(random):
    stage, x = UStage((4, 6), (1, 2), plain), maps(random, 4, height=4, width=4)
    stage(x)
    randomise(stage)
    wanted = stage(x)
    twin = UStage.from_config(stage.get_config())
    twin(x)
    assert [c.filters for c in twin.convs] == [c.filters for c in stage.convs]
    assert (twin.widths, twin.blocks) == ((4, 6), (1, 2))
    twin.set_weights(stage.get_weights())
    np.testing.assert_array_equal(twin(x), wanted)


def test_untrained_it_changes_nothing(random):
    stage, x = UStage((4, 6), (1, 2), plain), maps(random, 4, height=4, width=4)
    found = stage(x)
    # Weights of a thousandth of their usual size, through two convolutions.
    np.testing.assert_allclose(found, x, atol=0.01)
    assert np.abs(found - x).max() > 0


def test_u_stage_asks_for_its_convolutions():
    asked, near_zero = [], []

    def conv(filters, kernel_size, **kwargs):
        made = plain(filters, kernel_size, **kwargs)
        if kwargs.pop("kernel_initializer", None) is not None:
            near_zero.append(made)
        asked.append((filters, kernel_size, kwargs))
        return made

    stage = UStage((4, 6), (1, 1), conv)
    assert asked == [
        *[(4, 3, {})] * 2,
        *[(6, 3, {})] * 2,
        *[(4, 3, {})] * 2,
        (6, 2, {"strides": 2}),
        (16, 1, {}),
    ]
    assert [c.filters for c in stage.convs] == [filters for filters, *_ in asked]
    # What is added starts near zero: the last of each block, and the way up.
    assert near_zero == [*stage.convs[1:6:2], *stage.ups]
    with pytest.raises(ValueError, match="zip"):
        UStage((4, 6), (1,), plain)
