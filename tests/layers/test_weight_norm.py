"""Weight normalisation and 3D convolutions with repeated edges, in NumPy float64.

Tested: the equation in 1D, 2D and 3D; that a wrapped layer starts as the plain one;
its gradient; its kernel of zeros; bfloat16; what is refused.
Not tested: saving, mixed precision, symbolic calls (test_every_layer.py).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import witness
import witness_feedforward as feedforward

from stablevid_tf.layers import RepeatConv3D, WeightNorm

CONVS = {
    "2d": (lambda: keras.layers.Conv2D(4, 3, padding="same"), (2, 5, 6, 3)),
    "3d": (lambda: RepeatConv3D(4, (3, 3, 1)), (2, 4, 5, 6, 3)),
    "3d zeros": (
        lambda: keras.layers.Conv3D(4, (5, 1, 3), padding="same"),
        (2, 4, 5, 6, 3),
    ),
}


def inputs(shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def by_hand(name, x, kernel, bias):
    if name == "2d":
        return witness.conv(x, kernel, bias)
    edges = "zeros" if "zeros" in name else "repeat"
    return feedforward.conv3d(x, kernel, bias, edges)


@pytest.mark.parametrize("name", CONVS)
def test_equation(name, random):
    make, shape = CONVS[name]
    layer, x = WeightNorm(make()), inputs(shape)
    layer(x)
    for variable in layer.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    kernel = feedforward.weight_norm(layer.conv.kernel.numpy(), layer.gain.numpy())
    # float32 sums of 45 products, against float64.
    np.testing.assert_allclose(
        layer(x), by_hand(name, x, kernel, layer.bias.numpy()), atol=2e-5
    )
    np.testing.assert_allclose(layer.effective_kernel(), kernel, atol=1e-6)


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("trained", [False, True])
def test_it_starts_as_the_plain_layer(name, trained):
    make, shape = CONVS[name]
    conv, x = make(), inputs(shape)
    if trained:
        conv(x)
    layer = WeightNorm(conv)
    found = layer(x)
    # The gain is the very norm that is divided by: exact.
    np.testing.assert_array_equal(found, conv(x))
    assert layer.count_params() == conv.count_params() + 4


def test_direction_gets_no_gradient_along_itself(random):
    layer = WeightNorm(keras.layers.Conv2D(4, 3))
    x = inputs((1, 6, 6, 3))
    layer(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    slope_v, slope_g = tape.gradient(loss, [layer.conv.kernel.value, layer.gain.value])
    v = layer.conv.kernel.numpy()
    size = np.sqrt((slope_v.numpy() ** 2).sum((0, 1, 2)) * (v**2).sum((0, 1, 2)))
    # Salimans and Kingma, equation 3: orthogonal, up to float32 rounding.
    assert (np.abs((slope_v.numpy() * v).sum((0, 1, 2))) < 1e-5 * size).all()
    assert (np.abs(slope_g) > 0).all()


def test_a_filter_of_zeros_is_zero_and_has_finite_gradients():
    layer = WeightNorm(keras.layers.Conv2D(2, 3, kernel_initializer="zeros"))
    x = inputs((1, 5, 5, 2))
    with tf.GradientTape() as tape:
        found = layer(x)
        loss = tf.reduce_sum(found)
    assert (np.array(found) == 0).all()
    for slope in tape.gradient(loss, [v.value for v in layer.trainable_variables]):
        assert np.isfinite(slope).all()


def test_norms_are_taken_in_float32_whatever_the_policy():
    layer = WeightNorm(keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16"))
    whole = keras.Sequential([layer], name="autocasting")
    whole.build((None, 6, 6, 3))
    assert layer.compute_dtype == "bfloat16"
    assert layer.effective_kernel().dtype == "float32"
    norms = np.sqrt((layer.conv.kernel.numpy() ** 2).sum((0, 1, 2)))
    np.testing.assert_allclose(layer.gain, norms, rtol=1e-6)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: WeightNorm(keras.layers.Dense(3)), "WeightNorm takes a keras.layers"),
        (
            lambda: WeightNorm(keras.layers.Conv2D(3, 3, data_format="channels_first")),
            "channels last",
        ),
        (lambda: RepeatConv3D(3, (2, 3, 3)), r"odd kernel sizes.*\(2, 3, 3\)"),
        (lambda: RepeatConv3D(3, 3, strides=2), r"strides=\(2, 2, 2\)"),
        (lambda: RepeatConv3D(3, 3, padding="valid"), "padding='valid'"),
    ],
)
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
