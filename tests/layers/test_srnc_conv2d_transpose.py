"""The constrained transposed convolution, and what the diagnostics make of one.

Tested: outputs against NumPy and Keras; spectral norm and stable rank against the
singular values of the explicit matrix, also after training; folding; the exact
infinity norm, phase by phase; who gets which layer from `conv2d_transpose`.
Not tested: models that hold one (tests/cells/test_frvsr.py).
"""

import keras
import numpy as np
import pytest
import witness
import witness_flow

from stablevid_tf import numerics
from stablevid_tf.constraints import SRNC, conv2d_transpose
from stablevid_tf.diagnostics.loop_bound import norms
from stablevid_tf.layers import SRNCConv2DTranspose
from stablevid_tf.layers.loop import ConvSlice


def layer(size=3, strides=2, **arguments):
    keras.utils.set_random_seed(0)
    arguments = {"alpha": 1.5, "beta": 0.4, "frame_size": 8, **arguments}
    made = SRNCConv2DTranspose(4, size, strides=strides, **arguments)
    made.build((None, None, None, 3))
    made.bias.assign([0.1, 0.2, 0.3, 0.4])
    return made


def matrix(kernel, size, strides):
    """Of the transposed operator onto ``size``: the strided one's, transposed."""
    return witness.conv_matrix(kernel, size, strides).T


@pytest.mark.parametrize("size, strides", [(3, 2), (4, 2), (5, 3), (3, 1)])
def test_against_numpy(size, strides):
    made = layer(size, strides, frame_size=6)
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("float32")
    kernel = np.asarray(made.effective_kernel(), np.float64)
    wanted = witness_flow.conv_transpose(x, kernel, made.bias.numpy(), strides)
    assert made.compute_output_shape(x.shape) == wanted.shape
    np.testing.assert_allclose(made(x), wanted, atol=1e-5)
    plain = made.fold()
    assert type(plain) is keras.layers.Conv2DTranspose
    plain.kernel.assign(kernel)
    np.testing.assert_allclose(plain(x), wanted, atol=1e-5)


@pytest.mark.parametrize("size, strides", [(3, 2), (4, 2)])
def test_norm_and_stable_rank_of_the_matrix(size, strides):
    # A stable rank that binds: without it kernels drawn have 0.2 and more.
    made = layer(size, strides, beta=0.15)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, made(inputs))
    for train in (False, True):
        if train:
            model.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
            x = np.random.default_rng(0).random((4, 4, 4, 3), dtype="float32")
            model.fit(x, np.ones((4, 8, 8, 4)), epochs=60, verbose=0)
        values = np.linalg.svd(
            matrix(np.asarray(made.effective_kernel(), np.float64), 8, strides),
            compute_uv=False,
        )
        # One power iteration a step, while the kernel moves: some per cent.
        np.testing.assert_allclose(values[0], 1.5, rtol=0.03 if train else 0.005)
        rank = (values**2).sum() / values[0] ** 2 / len(values)
        assert rank <= 0.15 * 1.05
        if not train:
            np.testing.assert_allclose(rank, 0.15, rtol=0.05)
    folded = made.fold().kernel.numpy()
    assert numerics.conv_norm_bound(folded, strides) <= 1.5
    assert np.linalg.norm(matrix(folded, 12, strides), 2) <= 1.5


@pytest.mark.parametrize(
    "taps, strides", [(3, 2), (4, 2), (5, 3), (2, 3), ((3, 4), (1, 2))]
)
def test_infinity_norm_is_exact(taps, strides):
    conv = keras.layers.Conv2DTranspose(2, taps, strides, padding="same")
    conv.build((None, None, None, 3))
    found = norms("infinity", {conv: "up"})(ConvSlice(conv))
    size = [6 * s for s in conv.strides]
    kernel = conv.kernel.numpy().astype("float64")
    wanted = np.abs(matrix(kernel, size, conv.strides)).sum(axis=1).max()
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    # A slice of the inputs, the last axis of a transposed kernel.
    found = norms("infinity", {conv: "up"})(ConvSlice(conv, 1))
    wanted = np.abs(matrix(kernel[..., 1:], size, conv.strides)).sum(axis=1).max()
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_who_gets_which():
    kind = lambda **kw: type(conv2d_transpose(filters=4, strides=2, **kw))  # noqa: E731
    plain, held = keras.layers.Conv2DTranspose, SRNCConv2DTranspose
    loop = SRNC(0.9, where="loop")
    assert kind(constraint=None) is plain
    assert kind(constraint=SRNC(2.0)) is held
    assert kind(constraint=SRNC(2.0), role="tail") is held
    assert kind(constraint=SRNC(2.0, where="body")) is held
    assert kind(constraint=SRNC(2.0, where="body"), role="tail") is plain
    assert kind(constraint=loop) is plain
    with pytest.raises(ValueError, match="where='all' or 'body'"):
        kind(constraint=loop, loop=(None, None))
    with pytest.raises(ValueError, match="must be a stablevid_tf"):
        kind(constraint=2.0)
    with pytest.raises(ValueError, match="padding 'same'"):
        layer(padding="valid")
