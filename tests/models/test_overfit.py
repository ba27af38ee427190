"""Every architecture learns one clip of its own task by heart.

Tested: a small model of every name, trained by `fit` on one clip of a photograph that
moves (`STABLEVID_CLIP=file` takes the first frames of a video instead), ends well above
its input: noise of sigma 30, x4 from bicubic reduction, or blur from averaged frames.
One name a family by default, the rest with `-m large`.
Not tested: how well they do on what they have not seen (zoo, benchmarks).
"""

import functools
import itertools
import os

import keras
import numpy as np
import pytest
from scipy import ndimage
from skimage import data as photographs

from stablevid_tf import metrics, models
from stablevid_tf.data import open_video
from stablevid_tf.data.synthetic_motion import drift
from stablevid_tf.layers.bicubic import enlarge

FRAMES, SIDE = 3, 16  # of what a model sees
# Decibels above the input; above bicubic enlargement where the task is x4.
GAINS = {"denoising": 3.0, "super-resolution": 0.5, "deblurring": 1.0}
# A row each: arguments that make the network small, steps, Adam's rate.
BACKBONES = {
    f"{backbone}_{recurrence}{window}": (
        {"features": 24, stages: count},
        300,
        # Seven frames at once: at twice this rate one network of twelve hardly learns.
        1.5e-3 if window == "_mf7" else 3e-3,
    )
    for backbone, stages, count in (("vdncnn", "depth", 3), ("vresnet", "blocks", 2))
    for recurrence in ("single", "frame", "feat", "memory", "rlsp", "shift", "birlsp")
    for window in ("", "_mf3", "_mf7")
}
SMALL = BACKBONES | {
    "dbdnet": ({"features": 12}, 200, 5e-3),
    "mobile_rrn": ({"features": 12, "blocks": 2}, 100, 5e-3),
    "mrvsr": ({"features": 12}, 100, 5e-3),
    "rlsp": ({"features": 12}, 100, 3e-3),
}
DEBLURRING = {
    f"{base}{add_on}": ({"features": features, **blocks}, steps, 3e-3)
    for base, features, blocks, steps in (
        ("ifi_rnn", 8, {"blocks": 1}, 300),
        ("strcnn", 16, {"blocks": 2}, 200),
        ("rdbn", 8, {"blocks": 2}, 150),
        ("gru", 8, {}, 300),
        ("lstm", 8, {}, 300),
    )
    for add_on in ("", "_irm", "_atb", "_rirn", "_atb_atb", "_irm_irm")
}
WDVR = {
    name: ({"features": 12, "blocks": 2, "activations": 24}, 300, 4e-3)
    for name in ("wdvr2d", *(f"wdvr3d_{d}" for d in ("iai", "ias", "stas", "tsas")))
}
SMALL |= DEBLURRING | WDVR
SMALL |= {
    "basicvsr": ({"features": 12, "blocks": 2, "levels": 2}, 100, 3e-3),
    "memory_unet": (
        {
            "features": (16, 16),
            "blocks": (1, 1),
            "memory_features": 20,
            "groups": 4,
            "gate_features": 4,
            "align": None,
        },
        200,
        3e-3,
    ),
    "fastdvdnet": ({"features": 8, "frame_features": 8}, 150, 1e-2),
    "frvsr": (
        {"features": 12, "blocks": 2, "flow_features": 4, "warp_loss": 0.0},
        400,
        5e-3,
    ),
}
DEFAULT = ("gru", "mobile_rrn", "mrvsr", "vresnet_feat", "wdvr2d")


@functools.cache
def sharp(frames, side):
    """A clip [T, side, side, 3] in [0, 1]."""
    path = os.environ.get("STABLEVID_CLIP")
    if path:
        with open_video(path) as video:
            clip = np.stack([f.image for f in itertools.islice(video, frames)])
        top, left = ((n - side) // 2 for n in clip.shape[1:3])
        clip = clip[:, top : top + side, left : left + side]
        return clip.astype("float32") / 255
    # Half the photograph's resolution: detail everywhere.
    picture = photographs.astronaut()[40:296, 100:356]
    picture = ndimage.zoom(picture.astype("float32"), (0.5, 0.5, 1), order=1)
    return drift(picture, frames, side, (0.5, 1.25)) / 255


def clips(task):
    """``(seen, truth, what to beat)``, each [1, T, H, W, 3] in [0, 1]."""
    if task == "denoising":
        truth = sharp(FRAMES, SIDE)
        noise = np.random.default_rng(0).normal(size=truth.shape).astype("float32")
        seen = truth + 30 / 255 * noise
    elif task == "super-resolution":
        truth = sharp(FRAMES, 4 * SIDE)
        seen = np.stack([reduced(frame) for frame in truth])
        return seen[None], truth[None], np.asarray(enlarge(seen, 4))[None]
    else:
        # Seven sharp frames make one blurred one; the middle one is the truth.
        many = sharp(7 * FRAMES, SIDE).reshape(FRAMES, 7, SIDE, SIDE, 3)
        seen, truth = many.mean(axis=1), many[:, 3]
    return seen[None], truth[None], seen[None]


def reduced(frame):
    """A quarter of the size: cubic convolution, antialiased, at pixel centres."""
    size = frame.shape[0] // 4
    small = keras.ops.image.resize(
        frame, (size, size), interpolation="bicubic", antialias=True
    )
    return keras.ops.convert_to_numpy(small)


def psnr(a, b):
    return float(np.mean(keras.ops.convert_to_numpy(metrics.psnr(a, b))))


def test_every_architecture_has_a_row():
    missing = sorted(set(models.names()) - set(SMALL))
    assert not missing, f"say in SMALL how to make {missing} small and train them"
    assert set(SMALL) == set(models.names())


@pytest.mark.parametrize(
    "name",
    [
        name if name in DEFAULT else pytest.param(name, marks=pytest.mark.large)
        for name in SMALL
    ],
)
def test_overfit(name):
    arguments, steps, rate = SMALL[name]
    keras.utils.set_random_seed(0)
    model = models.build(name, **arguments)
    task = model.network.task
    seen, truth, plain = clips(task)
    fit(model, seen, truth, steps, rate)
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if norms:
        # A batch of one clip has statistics of its own: go on with the moving ones.
        for norm in norms:
            norm.trainable = False
        fit(model, seen, truth, steps, rate / 5)
    gain = psnr(model.predict(seen, verbose=0), truth) - psnr(plain, truth)
    assert gain > GAINS[task], f"{name}: {gain:+.2f} dB over its input"


def fit(model, seen, truth, steps, rate):
    falling = keras.optimizers.schedules.CosineDecay(
        0.0, steps - 20, alpha=0.02, warmup_target=rate, warmup_steps=20
    )
    # Narrow networks lose their ReLUs for good in a first step that is too long.
    adam = keras.optimizers.Adam(falling, global_clipnorm=0.02)
    model.compile(adam, "mse", jit_compile=False)
    model.fit(seen.repeat(steps, 0), truth.repeat(steps, 0), batch_size=1, verbose=0)
