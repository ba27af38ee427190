"""Spectra of a whole model's convolutions.

Tested: singular values, norm and stable rank of every layer against the SVD of the
explicit periodic matrix (strided, transposed, dilated, 1D and 3D too); the bound
against a fine frequency grid and explicit zero-padded norms; folded kernels; names and
loops; the average; what is skipped says why; nothing measured is changed.
Not tested: how the picture looks.
"""

import keras
import numpy as np
import pytest
import witness

from stablevid_tf import models
from stablevid_tf.constraints import SRNC
from stablevid_tf.diagnostics import spectra

SIZE = 6


def build(name="vresnet_feat", **kwargs):
    stages = "blocks" if name.startswith("vresnet") else "depth"
    return models.build(name, features=4, **{stages: 2}, **kwargs)


def convs(model):
    cell = model.network
    return [
        cell.head,
        *(conv for stage in cell.body for conv in stage.convs),
        cell.tail,
    ]


def singular_values(kernel, size, strides=1):
    matrix = witness.conv_matrix(kernel, size, strides, "circular")
    return np.linalg.svd(matrix, compute_uv=False)


def test_every_convolution_of_a_model():
    model = build()
    found = spectra(model, SIZE)
    assert [layer.name for layer in found.layers] == [
        "head",
        *(f"body[{i}].conv{j}" for i in (0, 1) for j in (1, 2)),
        "tail",
    ]
    assert found.skipped == ()
    for layer, conv in zip(found.layers, convs(model), strict=True):
        kernel = conv.kernel.numpy().astype("float64")
        truth = singular_values(kernel, SIZE)
        # Kept in float32.
        np.testing.assert_allclose(layer.values, truth, atol=1e-6 * truth[0])
        assert layer.norm == pytest.approx(truth[0], rel=1e-12)
        rank = witness.stable_rank(kernel, SIZE, padding="circular")
        assert layer.stable_rank == pytest.approx(rank, rel=1e-9)
        # Half a percent above the supremum at most; a grid of 256 misses 0.015 %.
        supremum = witness.symbol_norm(kernel, 256)
        assert supremum <= layer.bound <= 1.005 * supremum
        for size in (3, 8):
            assert witness.norm(kernel, size) <= layer.bound
    assert found.verdict in found.summary()


@pytest.mark.parametrize(
    "name, loops",
    [
        (
            "vresnet_feat",
            [
                None,
                "stage 0: body[0].conv1[4:]",
                "stage 0: body[0].conv2",
                "stage 1: body[1].conv1[4:]",
                "stage 1: body[1].conv2",
                None,
            ],
        ),
        (
            "vdncnn_frame",
            ["frame: head[3:]"]
            + [f"frame: {n}" for n in ("body[0].conv", "body[1].conv", "tail")],
        ),
        ("vdncnn_shift", [None] * 4),
        (
            "vdncnn_birlsp",
            [
                None,
                "forward: body[0].conv[4:]",
                "forward: body[1].conv",
                None,
                "backward: backward_body[0].conv[4:]",
                "backward: backward_body[1].conv",
            ],
        ),
    ],
)
def test_loops_are_marked(name, loops):
    assert [layer.loop for layer in spectra(build(name), 4).layers] == loops


@pytest.mark.parametrize("where", ["all", "loop"])
def test_folded_kernels_are_measured(where):
    constraint = SRNC(0.5, where=where, frame_size=8)
    model = build(constraint=constraint)
    for variable in model.trainable_variables:
        variable.assign(5 * variable)
    weights = model.get_weights()
    for of in (model, model.cell, model.fold()):
        found = spectra(of, SIZE)
        for layer, conv in zip(found.layers, convs(model.fold()), strict=True):
            truth = singular_values(conv.kernel.numpy().astype("float64"), SIZE)
            assert layer.norm == pytest.approx(truth[0], rel=1e-12)
            assert where == "loop" or layer.norm <= layer.bound <= 0.5
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


LAYERS = [
    (keras.layers.Conv1D(3, 5), (None, 20, 2)),
    (keras.layers.Conv2D(3, 3, strides=2), (None, 8, 8, 2)),
    (keras.layers.Conv2D(2, (1, 3), strides=(1, 2)), (None, 8, 8, 3)),
    (keras.layers.Conv3D(2, 3), (None, 4, 4, 4, 2)),
]


@pytest.mark.parametrize("layer, shape", LAYERS, ids=lambda x: type(x).__name__)
def test_any_keras_model(layer, shape):
    model = keras.Sequential([keras.Input(shape[1:]), layer], name="own")
    found = spectra(model, SIZE)
    (spectrum,) = found.layers
    assert (found.model, spectrum.name) == ("own", layer.name)
    kernel = layer.kernel.numpy().astype("float64")
    # 36 frequencies on two axes, 27 on three.
    assert spectrum.size == (3 if kernel.ndim == 5 else SIZE)
    size = tuple(spectrum.size * s for s in layer.strides)
    truth = singular_values(kernel, size, layer.strides)
    np.testing.assert_allclose(spectrum.values, truth, atol=1e-6 * truth[0])
    assert spectrum.bound >= truth[0]


def test_transposed():
    layer = keras.layers.Conv2DTranspose(3, 3, strides=2, padding="same")
    keras.Sequential([keras.Input((4, 4, 2)), layer])
    (spectrum,) = spectra(layer_holder(layer), 4).layers
    kernel = layer.kernel.numpy().astype("float64")
    truth = singular_values(kernel, 8, 2)
    np.testing.assert_allclose(spectrum.values, truth, atol=1e-6 * truth[0])


def layer_holder(layer):
    """A layer that holds another under a name, and in a list."""
    holder = keras.layers.Layer(name="holder")
    holder.up = layer
    holder.again = [layer]
    return holder


def test_names_are_attributes_and_each_layer_counts_once():
    layer = keras.layers.Conv2D(2, 3)
    layer.build((None, 4, 4, 2))
    assert [s.name for s in spectra(layer_holder(layer), 4).layers] == ["up"]


def test_dilation_leaves_the_values():
    layer = keras.layers.Conv2D(2, 3, dilation_rate=2)
    layer.build((None, 8, 8, 2))
    (spectrum,) = spectra(layer_holder(layer), 4).layers
    spread = np.zeros((5, 5, 2, 2))
    spread[::2, ::2] = layer.kernel.numpy()
    # On a map twice as large every value appears four times.
    truth = singular_values(spread, 8)[::4]
    np.testing.assert_allclose(spectrum.values, truth, atol=1e-6 * truth[0])


def test_the_average():
    found = spectra(build(), SIZE)
    at, mean, deviation = found.average()
    assert (at[0], at[-1]) == (0, 1) and (np.diff(mean) <= 0).all()
    # Its leftmost value is the mean norm.
    assert mean[0] == pytest.approx(np.mean([x.norm for x in found.layers]), rel=1e-6)
    # Nearest values instead of the line between two.
    nearest = [np.round(at * (len(x.values) - 1)).astype(int) for x in found.layers]
    curves = [x.values[i] for x, i in zip(found.layers, nearest, strict=True)]
    step = max(-np.diff(layer.values).min() for layer in found.layers)
    np.testing.assert_allclose(mean, np.mean(curves, 0), atol=step)
    np.testing.assert_allclose(deviation, np.std(curves, 0), atol=step)


def test_what_has_no_spectrum_is_skipped_with_a_reason():
    layers = [
        keras.layers.Conv2D(4, 3, name="plain"),
        keras.layers.Conv2D(4, 3, groups=2, name="grouped"),
        keras.layers.DepthwiseConv2D(3, name="depthwise"),
        keras.layers.SeparableConv2D(4, 3, name="separable"),
        keras.layers.Conv2D(4, 3, kernel_initializer="zeros", name="zeros"),
        keras.layers.Conv2D(4, 3, name="broken"),
        keras.layers.Dense(4, name="dense"),
    ]
    model = keras.Sequential([keras.Input((16, 16, 4)), *layers])
    layers[5].kernel.assign(np.nan * layers[5].kernel)
    found = spectra(model, 4)
    assert [layer.name for layer in found.layers] == ["plain"]
    reasons = dict(found.skipped)
    assert list(reasons) == ["grouped", "depthwise", "separable", "zeros", "broken"]
    assert "one group" in reasons["grouped"] and "zeros" in reasons["zeros"]
    assert "not finite" in reasons["broken"]
    assert "(5 skipped)" in found.summary()


def test_errors_say_what_is_needed():
    with pytest.raises(ValueError, match="holds supported convolutions"):
        spectra(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="call the model once"):
        spectra(keras.Sequential([keras.layers.Conv2D(2, 3)]))
    with pytest.raises(ValueError, match="size must be a positive integer"):
        spectra(build(), size=0)


def test_the_plot(tmp_path):
    spectra(build(), SIZE).plot(tmp_path / "spectra.png")
    assert (tmp_path / "spectra.png").read_bytes().startswith(b"\x89PNG")
