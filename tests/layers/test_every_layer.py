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

# Whole networks, ten seconds each and more: with `-m large`.
LARGE = {
    *("BasicVSR", "DBDNet", "FastDVDnet", "FRVSR", "GRU", "IFIRNN", "LSTM", "RDBN"),
    *("ATB", "IRM", "RLSPSuperResolution", "SelfEnsembleClip", "STRCNN"),
    *("MemoryCell", "MemoryUNet", "StrengthClip", "UStage"),
}
# Abstract: their subclasses are checked.
ABSTRACT = {
    "ReparametrisedConv2D",
    "RecurrentVideoCell",
    "DeblurringCell",
    "WindowNetwork",
}


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


def conv3d(filters=4, taps=3, **kwargs):
    return keras.layers.Conv3D(filters, taps, padding="same", **kwargs)


def normalised(name=None, dtype=None):
    return layers.WeightNorm(
        conv(strides=2, activation="relu", dtype=dtype), name=name, dtype=dtype
    )


def normalised_3d(name=None, dtype=None):
    return layers.WeightNorm(
        conv3d(use_bias=False, dtype=dtype), name=name, dtype=dtype
    )


def wide(name=None, dtype=None):
    before = [conv(dtype=dtype), layers.WeightNorm(conv(8, dtype=dtype), dtype=dtype)]
    return layers.WideActivation(before, conv(dtype=dtype), 0.5, name=name, dtype=dtype)


def wide_3d(name=None, dtype=None):
    before = [layers.RepeatConv3D(8, (3, 1, 1), dtype=dtype)]
    after = conv3d(taps=(1, 3, 3), dtype=dtype)
    return layers.WideActivation(before, after, name=name, dtype=dtype)


def images(channels, seed=0):
    random = np.random.default_rng(seed)
    return random.random((2, 8, 10, channels), dtype="float32")


def large(channels):
    return images(channels).repeat(4, axis=1).repeat(4, axis=2)


def clip(channels):
    return np.random.default_rng(0).random((2, 3, 8, 6, channels), dtype="float32")


def cell(cls, **settings):
    return lambda **kwargs: cls(features=4, stages=2, **settings, **kwargs)


def dense_stage(name=None, dtype=None):
    dense = [conv(2, dtype=dtype), conv(3, dtype=dtype)]
    fuse = conv(dtype=dtype)
    return layers.ResidualDenseStage(dense, fuse, name=name, dtype=dtype)


def batch_norm_stage(name=None, dtype=None):
    return layers.BatchNormStage(
        conv(dtype=dtype), constrained(dtype=dtype), name=name, dtype=dtype
    )


def u_stage(name=None, dtype=None):
    def make(filters, kernel_size, **kwargs):
        return keras.layers.Conv2D(
            filters, kernel_size, padding="same", dtype=dtype, **kwargs
        )

    return layers.UStage((4, 6), (1, 1), make, name=name, dtype=dtype)


def memory_unet(**kwargs):
    small = {"memory_features": 14, "groups": 2, "gate_features": 4}
    return cells.MemoryUNet((4, 4), (1, 1), **small, **kwargs)


def halved(channels, seed=0):
    """Maps half the size of `images`, padded to sixteen pixels."""
    random = np.random.default_rng(seed)
    return random.random((2, 8, 8, channels), dtype="float32")


def small(channels, seed=0):
    """Maps a quarter of the size of padded `images`."""
    random = np.random.default_rng(seed)
    return random.random((2, 2, 3, channels), dtype="float32")


def add_on(cls, on):
    return lambda name=None, dtype=None: cls(
        cells.IFIRNN(features=4, blocks=1, dtype=dtype), on=on, name=name
    )


def wdvr3d(name=None, **kwargs):
    kwargs = {"features": 4, "blocks": 1, "activations": 5, "scale": 2, **kwargs}
    return cells.WDVR3D("stas", name=name, clip_length=1, temporal_padding=0, **kwargs)


def fastdvdnet(**kwargs):
    return cells.FastDVDnet(features=2, frame_features=2, **kwargs)


CASES = {
    "ResidualDenseStage": [(dense_stage, lambda: [images(4)])],
    "BatchNormStage": [(batch_norm_stage, lambda: [images(4)])],
    "IFIRNN": [
        (
            lambda **kw: cells.IFIRNN(features=2, blocks=1, **kw),
            lambda: [images(3), (small(2), ())],
        )
    ],
    "GRU": [
        (
            lambda **kw: cells.GRU(features=2, channels=1, **kw),
            lambda: [images(1), (small(2), ())],
        )
    ],
    "LSTM": [
        (
            lambda **kw: cells.LSTM(features=2, **kw),
            lambda: [images(3), (small(2), small(2, 1))],
        )
    ],
    "RDBN": [
        (
            lambda **kw: cells.RDBN(features=2, blocks=2, **kw),
            lambda: [images(3), (small(2), ())],
        )
    ],
    "STRCNN": [
        (
            lambda **kw: cells.STRCNN(features=2, blocks=1, **kw),
            lambda: [images(15), (images(2, 1)[:, ::2, ::2], ())],
        )
    ],
    "IRM": [
        (add_on(cells.IRM, "hidden"), lambda: [images(3), (small(4), ())]),
        (
            add_on(cells.IRM, "features"),
            lambda: [images(3), (small(4), ((), small(16)))],
        ),
    ],
    "ATB": [
        (add_on(cells.ATB, "hidden"), lambda: [images(3), (small(4), ())]),
        (
            add_on(cells.ATB, "features"),
            lambda: [images(3), (small(4), ((), small(16)))],
        ),
    ],
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
    "WeightNorm": [
        (normalised, lambda: [images(3)]),
        (normalised_3d, lambda: [clip(2)]),
    ],
    "RepeatConv3D": [
        (lambda **kw: layers.RepeatConv3D(4, (5, 3, 1), **kw), lambda: [clip(3)])
    ],
    "WideActivation": [(wide, lambda: [images(4)]), (wide_3d, lambda: [clip(4)])],
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
    "DBDNet": [
        (
            lambda **kw: cells.DBDNet(features=8, frame_number=9, **kw),
            lambda: [images(4), (*[images(8)] * 7, images(3))],
        )
    ],
    "MRVSR": [
        (
            lambda **kw: cells.MRVSR(features=4, **kw),
            lambda: [images(9), (images(4),)],
        )
    ],
    "MobileRRN": [
        (
            lambda **kw: cells.MobileRRN(features=4, blocks=1, **kw),
            # Dark: inside, values are 0...255, and bfloat16 rounds what is large.
            lambda: [images(3) / 255, (images(4), images(3) / 255)],
        )
    ],
    "MemoryCell": [
        (
            cell(cells.MemoryCell, groups=2, gate_features=4),
            lambda: [images(3), (images(3, 1), images(4), images(4), images(8))],
        )
    ],
    "MemoryUNet": [
        (
            memory_unet,
            lambda: [images(3), (images(3, 1), halved(4), halved(2), halved(14))],
        )
    ],
    "ShiftCell": [(cell(cells.ShiftCell), lambda: [images(3), (images(4), images(4))])],
    "WDVR2D": [
        (
            lambda **kw: cells.WDVR2D(4, 2, 6, window=3, scale=2, **kw),
            lambda: [images(9), ()],
        )
    ],
    "WDVR3D": [(wdvr3d, lambda: [clip(3)])],
    "FastDVDnet": [(fastdvdnet, lambda: [images(15), ()])],
    "NoiseLevelCell": [
        (
            lambda dtype=None, **kw: cells.NoiseLevelCell(
                cells.SingleCell(features=4, stages=1, noise_map=True, dtype=dtype),
                sigma=25,
                **kw,
            ),
            lambda: [images(3), ()],
        )
    ],
    "StrengthCell": [
        (
            lambda dtype=None, **kw: cells.StrengthCell(
                cells.FrameCell(features=4, stages=1, dtype=dtype), 0.5, **kw
            ),
            lambda: [images(3), (images(3, 1),)],
        )
    ],
    "StrengthClip": [
        (
            lambda dtype=None, **kw: cells.StrengthClip(
                cells.BiRLSP(features=4, stages=1, dtype=dtype), 1.5, **kw
            ),
            lambda: [clip(3)],
        )
    ],
    "SelfEnsembleCell": [
        (
            lambda dtype=None, **kw: cells.SelfEnsembleCell(
                cells.SingleCell(features=4, stages=1, dtype=dtype), **kw
            ),
            # Eight states have another batch than the frames, which `fit` refuses.
            lambda: [images(3), ((), ())],
        )
    ],
    "SelfEnsembleClip": [
        (
            lambda dtype=None, **kw: cells.SelfEnsembleClip(
                cells.BiRLSP(features=4, stages=1, dtype=dtype), **kw
            ),
            lambda: [clip(3)],
        )
    ],
    "UStage": [(u_stage, lambda: [images(4)])],
    "LucasKanade": [
        (
            lambda **kw: layers.LucasKanade(levels=1, finest=1, **kw),
            lambda: [images(3), images(3, 1)],
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
    [
        pytest.param(name, i, marks=[pytest.mark.large] if name in LARGE else [])
        for name, cases in CASES.items()
        for i in range(len(cases))
    ],
)
def test_layer(name, index, tmp_path):
    make, args = CASES[name][index]
    check_layer(make, args(), tmp_path)
