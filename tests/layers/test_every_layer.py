"""Every public layer and cell through the one layer check.

Tested: configuration, symbolic = eager, `.keras`, mixed precision, a `fit` step, and
that no public class of layers/ or cells/ is forgotten.
Not tested: what the layers compute (their own files).
"""

import inspect

import keras
import numpy as np
import pytest
from layer_check import check_layer

from stablevid_tf import cells, layers

# Abstract: their subclasses are checked.
ABSTRACT = {"ReparametrisedConv2D", "RecurrentVideoCell"}


def conv(filters=4, **kwargs):
    return keras.layers.Conv2D(filters, 3, padding="same", **kwargs)


def constrained(**kwargs):
    kwargs = {"alpha": 1.5, "beta": 0.5, "frame_size": 8, **kwargs}
    return layers.SRNCConv2D(4, 3, **kwargs)


def conv_stage(name=None, dtype=None):
    return layers.ConvStage(constrained(dtype=dtype), name=name, dtype=dtype)


def residual_stage(name=None, dtype=None):
    return layers.ResidualStage(
        conv(dtype=dtype), constrained(dtype=dtype), name=name, dtype=dtype
    )


def images(channels, seed=0):
    random = np.random.default_rng(seed)
    return random.random((2, 8, 10, channels), dtype="float32")


def large(channels):
    return images(channels).repeat(4, axis=1).repeat(4, axis=2)


def clip(channels):
    return np.random.default_rng(0).random((2, 3, 8, 6, channels), dtype="float32")


def cell(cls, **settings):
    return lambda **kwargs: cls(features=4, stages=2, **settings, **kwargs)


CASES = {
    "SRNCConv2D": [
        (constrained, lambda: [images(4)]),
        (
            lambda **kw: layers.SRNCConv2D(
                5,
                (3, 1),
                strides=2,
                padding="valid",
                activation="relu",
                use_bias=False,
                kernel_regularizer="l2",
                kernel_initializer="he_normal",
                frame_size=9,
                power_iterations=2,
                **kw,
            ),
            lambda: [images(3)],
        ),
    ],
    "SRNCConv2DTranspose": [
        (
            lambda **kw: layers.SRNCConv2DTranspose(
                5,
                3,
                strides=2,
                alpha=1.5,
                beta=0.5,
                activation="relu",
                frame_size=8,
                **kw,
            ),
            lambda: [images(3)],
        )
    ],
    "SRNConv2D": [
        (lambda **kw: layers.SRNConv2D(4, 3, 1.5, 0.5, **kw), lambda: [images(3)])
    ],
    "GainConv2D": [
        (
            lambda **kw: layers.GainConv2D(4, 3, start=2, frame_size=8, **kw),
            lambda: [images(5)],
        )
    ],
    "FlowWarp": [
        (layers.FlowWarp, lambda: [images(3), 4 * images(2, 1) - 2]),
        (
            lambda **kw: layers.FlowWarp("border", align_corners=False, **kw),
            lambda: [images(3), 4 * images(2, 1) - 2],
        ),
    ],
    "ConvStage": [
        (conv_stage, lambda: [images(4)]),
        (conv_stage, lambda: [images(4), images(4, 1)]),
    ],
    "ResidualStage": [
        (residual_stage, lambda: [images(4)]),
        (residual_stage, lambda: [images(4), images(2, 1)]),
    ],
    "SingleCell": [(cell(cells.SingleCell, window=3), lambda: [images(9), ()])],
    "FrameCell": [(cell(cells.FrameCell, scale=2), lambda: [images(3), (images(12),)])],
    "FeatCell": [
        (cell(cells.FeatCell), lambda: [images(3), (images(4), images(4))]),
        (
            cell(cells.FeatCell, channels=1, backbone="vdncnn", window=3),
            lambda: [images(3), (images(4), images(4))],
        ),
    ],
    "RLSPCell": [(cell(cells.RLSPCell), lambda: [images(3), (images(4),)])],
    "RLSPSuperResolution": [
        (
            lambda **kw: cells.RLSPSuperResolution(features=4, **kw),
            lambda: [images(9), (images(4), images(16))],
        )
    ],
    "FNet": [
        (
            lambda **kw: cells.FNet(features=4, **kw),
            lambda: [images(3), images(3, 1)],
        )
    ],
    "FRVSR": [
        (
            lambda **kw: cells.FRVSR(4, 1, flow_features=4, **kw),
            lambda: [images(3), (images(3, 1), large(3))],
        ),
        (
            lambda **kw: cells.FRVSR(4, 1, 4, scale=1, channels=1, **kw),
            # Wide enough that flows of random weights do not all point outside.
            lambda: [large(1), (large(1), large(1))],
        ),
    ],
    "ShiftCell": [(cell(cells.ShiftCell), lambda: [images(3), (images(4), images(4))])],
    "PyramidFlow": [
        (
            lambda **kw: cells.PyramidFlow(levels=2, **kw),
            lambda: [images(3), images(3, 1)],
        )
    ],
    "BasicVSR": [
        (lambda **kw: cells.BasicVSR(4, blocks=1, levels=2, **kw), lambda: [clip(3)])
    ],
    "BiRLSP": [(cell(cells.BiRLSP, scale=2), lambda: [clip(3)])],
}


def classes(room):
    found = [getattr(room, name) for name in room.__all__]
    return {c.__name__ for c in found if inspect.isclass(c)}


def test_no_public_class_is_forgotten():
    assert set(CASES) == (classes(layers) | classes(cells)) - ABSTRACT
    for room in (layers, cells):
        for name in classes(room):
            assert issubclass(getattr(room, name), keras.layers.Layer)


@pytest.mark.parametrize(
    "name, index",
    [(name, i) for name, cases in CASES.items() for i in range(len(cases))],
)
def test_layer(name, index, tmp_path):
    make, args = CASES[name][index]
    check_layer(make, args(), tmp_path)
