"""SRNConv2D, GainConv2D, the stages, and the constraint on a plain convolution.

Tested: SRN's matrix norm and stable rank against the SVD, cold and in training;
the gain of a slice against the SVD; scaling a slice; the stages' equations; the
kernel cache; SRNC as `kernel_constraint` of a plain Conv2D.
Not tested: SRNCConv2D (its own file); loops (tests/cells/test_loops.py).
"""

import keras
import numpy as np
import pytest
import witness

from stablevid_tf.constraints import SRNC
from stablevid_tf.layers import (
    ConvStage,
    GainConv2D,
    ResidualStage,
    SRNCConv2D,
    SRNConv2D,
    cached_kernels,
)

SIZE = 10


def normal(seed=0):
    return keras.initializers.RandomNormal(stddev=0.3, seed=seed)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def copies(layer):
    return [numpy(w).copy() for w in layer.weights]


def matrix_values(kernel):
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)


@pytest.mark.parametrize(
    "cin, cout, taps", [(4, 8, 3), (8, 4, 3), (1, 6, 2), (9, 6, 1)]
)
@pytest.mark.parametrize("beta", [1.0, 0.6, 0.3])
def test_srn_is_the_equation(cin, cout, taps, beta):
    layer = SRNConv2D(
        cout, taps, alpha=1.5, beta=max(beta, 0.3), kernel_initializer=normal()
    )
    if beta * min(cin * taps**2, cout) < 1:
        pytest.skip("out of reach")
    layer.build((None, None, None, cin))
    kernel = numpy(layer.effective_kernel())
    values = matrix_values(kernel)
    # 50 cold iterations on a matrix.
    assert values[0] == pytest.approx(1.5, rel=0.01)
    truth = matrix_values(witness.srn(numpy(layer.kernel).astype("float64"), 1.5, beta))
    rank = (values**2).sum() / values[0] ** 2
    assert rank == pytest.approx((truth**2).sum() / truth[0] ** 2, rel=0.03)


def test_srn_in_training(random):
    layer = SRNConv2D(8, 3, beta=0.4, kernel_initializer=normal())
    model = keras.Sequential([keras.Input((8, 8, 8)), layer])
    model.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=False)
    x = random.normal(size=(60, 8, 8, 8)).astype("float32")
    model.fit(x, x[::-1], batch_size=2, verbose=0)
    values = matrix_values(numpy(layer.effective_kernel()))
    assert values[0] == pytest.approx(1, rel=0.01)
    assert (values**2).sum() / values[0] ** 2 / 8 == pytest.approx(0.4, rel=0.03)
    before = copies(layer)
    layer(x)
    layer.fold()
    layer.effective_kernel()
    for a, b in zip(before, copies(layer), strict=True):
        np.testing.assert_array_equal(a, b)


def test_srn_does_not_hold_the_convolution():
    # What its docstring warns of: the matrix has norm 1, the convolution more.
    layer = SRNConv2D(8, 3, kernel_initializer=normal())
    layer.build((None, None, None, 8))
    kernel = numpy(layer.effective_kernel())
    assert witness.norm(kernel, SIZE) > 1.2


def test_srn_folds_to_the_same_convolution(random):
    layer = SRNConv2D(6, 3, beta=0.5, strides=2, activation="relu")
    x = random.normal(size=(2, 9, 9, 4)).astype("float32")
    y = layer(x)
    # The same kernel, computed twice in one way.
    np.testing.assert_allclose(layer.fold()(x), y, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"alpha": 0}, "alpha"),
        ({"beta": 2}, "beta"),
        ({"power_iterations": 0}, "power_iterations"),
        ({"filters": -1}, "positive integer"),
    ],
)
def test_srn_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        SRNConv2D(**{"filters": 8, "kernel_size": 3} | arguments)


def test_srn_beta_out_of_reach():
    with pytest.raises(ValueError, match="at least 1/8"):
        SRNConv2D(8, 3, beta=0.1).build((None, None, None, 4))


@pytest.mark.parametrize(
    "start, stop, strides, padding",
    [
        (None, None, 1, "same"),
        (3, None, 1, "same"),
        (1, 4, 1, "valid"),
        (0, 2, 2, "same"),
    ],
)
def test_gain_is_the_norm_of_the_slice(start, stop, strides, padding):
    layer = GainConv2D(
        5,
        3,
        start,
        stop,
        frame_size=SIZE,
        strides=strides,
        padding=padding,
        kernel_initializer=normal(),
    )
    layer.build((None, None, None, 6))
    kernel = numpy(layer.kernel)[:, :, start:stop]
    true = witness.norm(kernel, SIZE, strides, padding)
    cold = float(layer.gain())
    # 50 cold iterations, an estimate from below (float32 rounding aside).
    assert 0.99 * true < cold < true * (1 + 1e-6)
    before = copies(layer)
    layer.gain()
    for a, b in zip(before, copies(layer), strict=True):
        np.testing.assert_array_equal(a, b)
    for _ in range(20):
        warm = float(layer.gain(training=True))
    assert cold * (1 - 1e-5) <= warm < true * (1 + 1e-6)


@pytest.mark.parametrize("start, stop", [(None, None), (2, None), (1, 4), (0, 2)])
def test_scaling_a_slice(start, stop):
    layer = GainConv2D(5, 3, start, stop, frame_size=8)
    layer.build((None, None, None, 6))
    truth = numpy(layer.kernel).copy()
    truth[:, :, start:stop] *= np.float32(0.25)
    # A power of two: exact.
    np.testing.assert_array_equal(layer.scaled_kernel(0.25), truth)


@pytest.mark.parametrize("arguments", [{"start": 6}, {"start": 4, "stop": 4}])
def test_an_empty_slice_is_an_error(arguments):
    with pytest.raises(ValueError, match="is empty"):
        GainConv2D(5, 3, **arguments, frame_size=8).build((None, None, None, 6))


@pytest.mark.parametrize("cls", [SRNCConv2D, SRNConv2D, GainConv2D])
def test_cached_kernels_are_used_and_forgotten(random, cls):
    layer = cls(4, 3)
    x = random.normal(size=(1, 6, 6, 3)).astype("float32")
    own = numpy(layer(x))
    kernel = random.normal(size=(3, 3, 3, 4)).astype("float32")
    with cached_kernels({layer: kernel}):
        given = numpy(layer(x, training=True))
    np.testing.assert_allclose(given, witness.conv(x, kernel), atol=1e-5)  # float32
    np.testing.assert_array_equal(layer(x), own)


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("kind", ["vdncnn", "vresnet"])
def test_stages_are_their_equations(random, kind, extra):
    conv = lambda: keras.layers.Conv2D(  # noqa: E731
        4, 3, padding="same", kernel_initializer=normal(), bias_initializer=normal(1)
    )
    stage = ConvStage(conv()) if kind == "vdncnn" else ResidualStage(conv(), conv())
    x, beside = random.normal(size=(2, 1, 6, 7, 4)).astype("float32")
    args = (x, beside) if extra else (x,)
    found = stage(*args)
    convs = [(numpy(c.kernel), numpy(c.bias)) for c in stage.convs]
    np.testing.assert_allclose(found, witness.stage(convs, *args), atol=1e-5)  # float32


def test_srnc_as_a_kernel_constraint(random):
    layer = keras.layers.Conv2D(
        6, 3, padding="same", kernel_constraint=SRNC(1.0, 0.3, frame_size=SIZE)
    )
    model = keras.Sequential([keras.Input((SIZE, SIZE, 6)), layer])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    x = random.normal(size=(6, SIZE, SIZE, 6)).astype("float32")
    model.fit(x, 3 * x[::-1], batch_size=2, epochs=3, verbose=0)
    kernel = numpy(layer.kernel)
    # 30 cold iterations, once: the 3 to 13 % that the layer avoids are possible here.
    assert witness.norm(kernel, SIZE) == pytest.approx(1.0, rel=0.15)
    assert witness.stable_rank(kernel, SIZE) < 0.33


def test_srnc_as_a_constraint_is_stateless(random):
    w = random.normal(size=(3, 3, 4, 4)).astype("float32")
    constraint = SRNC(2.0, frame_size=8)
    first = numpy(constraint(keras.ops.convert_to_tensor(w)))
    np.testing.assert_array_equal(first, constraint(keras.ops.convert_to_tensor(w)))
    assert witness.norm(first, 8) == pytest.approx(2.0, rel=0.02)
    config = keras.saving.serialize_keras_object(constraint)
    twin = keras.saving.deserialize_keras_object(config)
    assert twin.get_config() == constraint.get_config()


def test_srnc_on_something_else_says_so():
    with pytest.raises(ValueError, match="kernel"):
        SRNC(1.0)(keras.ops.ones((4, 4)))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"alpha": 0}, "alpha"),
        ({"alpha": 1, "beta": 0}, "beta"),
        ({"alpha": 1, "where": "everywhere"}, "where must be one of"),
        ({"alpha": 1, "where": "loop"}, "below 1"),
        ({"alpha": 0.9, "where": "loop", "beta": 0.5}, "leave beta at 1"),
        ({"alpha": 1, "decomposition": "printed"}, "decomposition"),
        ({"alpha": 1, "power_iterations": 0}, "power_iterations"),
        ({"alpha": 1, "frame_size": 0}, "frame_size"),
    ],
)
def test_srnc_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        SRNC(**arguments)
