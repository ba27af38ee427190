"""Muon against NumPy float64.

Tested: three steps of a network with a kernel that is orthogonalised, one that is not
and biases, from random gradients; the singular values of the orthogonalised matrix,
tall and wide, against `numpy.linalg.svd`; saving; that a moving average is kept.
Not tested: that it trains faster than Adam (CONTRIBUTING.md has the trials).
"""

import keras
import numpy as np
import pytest

from stablevid_tf.training import Muon
from stablevid_tf.training.muon import orthogonal

RATE, MOMENTUM = 0.01, 0.9


def quintic(x):
    """Five Newton-Schulz steps on the singular values of a matrix, by SVD."""
    u, s, v = np.linalg.svd(x, full_matrices=False)
    s = s / np.sqrt(np.sum(s**2))
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s) @ v


@pytest.mark.parametrize("shape", [(20, 7), (7, 20), (9, 9)])
def test_orthogonal(random, shape):
    x = random.normal(size=shape)
    found = np.asarray(orthogonal(keras.ops.cast(x, "float32")))
    # Float32: ten products of small matrices.
    np.testing.assert_allclose(found, quintic(x), atol=1e-4)
    values = np.linalg.svd(found, compute_uv=False)
    assert values.min() > 0.6 and values.max() < 1.25


def adam(gradients):
    """The sum of Adam's steps, rate 1."""
    mean = square = total = 0.0
    for t, g in enumerate(gradients, 1):
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        total += mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-7)
    return total


def test_three_steps(random):
    shapes = [(3, 3, 14, 16), (1, 1, 40, 13), (3, 3, 12, 16), (3, 3, 16, 3), (16,)]
    starts = [random.normal(size=shape) for shape in shapes]
    variables = [keras.Variable(start, dtype="float32") for start in starts]
    gradients = [[random.normal(size=shape) for shape in shapes] for _ in range(3)]
    optimizer = Muon(RATE, MOMENTUM)
    for each in gradients:
        arrays = [keras.ops.cast(g, "float32") for g in each]
        optimizer.apply(arrays, variables)
    for i, (variable, start) in enumerate(zip(variables, starts, strict=True)):
        own = [each[i] for each in gradients]
        if i < 2:
            rows, columns = np.prod(shapes[i][:3]), shapes[i][3]
            momentum = moved = 0.0
            for g in own:
                momentum = MOMENTUM * momentum + g
                ahead = (g + MOMENTUM * momentum).reshape(rows, columns)
                step = 0.2 * max(rows, columns) ** 0.5 * quintic(ahead)
                moved = moved + step.reshape(shapes[i])
        else:
            moved = adam(own)
        # Float32 weights of about 1, steps known to 1e-4 of theirs.
        np.testing.assert_allclose(variable, start - RATE * moved, atol=2e-5)
        assert np.abs(variable - start).max() > RATE


def test_it_is_saved_and_keeps_an_average(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 13)), keras.layers.Conv2D(13, 3)])
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    model.compile(Muon(schedule, 0.8, use_ema=True, ema_momentum=0.5), "mse")
    x, y = np.ones((2, 4, 4, 13), "float32"), np.zeros((2, 2, 2, 13), "float32")
    model.fit(x, y, epochs=3, verbose=0)
    assert len(model.optimizer._model_variables_moving_average) == 2
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(twin.optimizer, Muon)
    assert (twin.optimizer.momentum, twin.optimizer.ema_momentum) == (0.8, 0.5)
    state = [np.array(v) for v in model.optimizer.variables]
    for mine, other in zip(state, twin.optimizer.variables, strict=True):
        np.testing.assert_array_equal(other, mine)
    model.fit(x, y, epochs=1, verbose=0)
    twin.fit(x, y, epochs=1, verbose=0)
    for mine, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(other, mine)
