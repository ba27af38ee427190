"""RLSP for super-resolution, recomputed in NumPy float64.

Tested: a clip with random weights against the equations written out, colour included;
loading weights in the public layout; the loop that the cell declares; the parameter
count; constrained building; what is refused. With STABLEVID_RLSP_WEIGHTS=file.npz (the
public 7-48 weights and their frames): that they enlarge the calendar clip well.
Not tested: drift of the public weights (tests/diagnostics).
"""

import os

import numpy as np
import pytest
import witness

from stablevid_tf import models, numerics
from stablevid_tf.constraints import SRNC

FEATURES = 4
PUBLIC = os.environ.get("STABLEVID_RLSP_WEIGHTS")


def public_layout(features=FEATURES, seed=0):
    random = np.random.default_rng(seed)
    widths = [9 + features + 16] + [features] * 7
    outs = [features] * 7 + [16]
    mapping = {}
    for i, (cin, cout) in enumerate(zip(widths, outs, strict=True)):
        kernel = random.normal(size=(3, 3, cin, cout)) / (9 * cin) ** 0.5
        mapping[f"layer{i}_kernel"] = kernel.astype("float32")
        mapping[f"layer{i}_bias"] = random.normal(size=cout).astype("float32")
    return mapping


def keys(x):
    """Keys' cubic convolution kernel, a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def enlarge(length, scale):
    """[scale * length, length]: half-pixel centres; weights outside are left out."""
    at = (np.arange(scale * length) + 0.5) / scale - 0.5
    weights = keys(at[:, None] - np.arange(length))
    return weights / weights.sum(1, keepdims=True)


def by_hand(mapping, clip, features=FEATURES):
    """Restored RGB [T, 4H, 4W, 3] of one clip [T, H, W, 3] in [0, 1]."""
    conv = lambda i, x: witness.conv(  # noqa: E731
        x[None], mapping[f"layer{i}_kernel"], mapping[f"layer{i}_bias"]
    )[0]
    to = np.array(
        [
            [65.738, 129.057, 25.064],
            [-37.945, -74.494, 112.439],
            [112.439, -94.154, -18.285],
        ]
    )
    to = to.T / 256
    length, height, width, _ = clip.shape
    hidden = np.zeros((height, width, features))
    previous = np.zeros((height, width, 16))
    restored = []
    for t in range(length):
        three = [clip[max(t - 1, 0)], clip[t], clip[min(t + 1, length - 1)]]
        x = np.concatenate([255 * f for f in three] + [hidden, previous], axis=-1)
        for i in range(6):
            x = np.maximum(conv(i, x), 0)
        hidden = np.maximum(conv(6, x), 0)
        ycc = 255 * clip[t] @ to + [16, 128, 128]
        previous = conv(7, x) + ycc[..., :1]
        luma = np.zeros((4 * height, 4 * width))
        for row in range(4):
            for column in range(4):
                luma[row::4, column::4] = previous[..., 4 * row + column]
        colour = np.einsum(
            "yi,xj,ijc->yxc", enlarge(height, 4), enlarge(width, 4), ycc[..., 1:]
        )
        both = np.concatenate([luma[..., None], colour], axis=-1)
        restored.append((both - [16, 128, 128]) @ np.linalg.inv(to) / 255)
    return np.stack(restored)


def test_clip_against_numpy():
    mapping = public_layout()
    model = models.build("rlsp", features=FEATURES).load_public_weights(mapping)
    clip = np.random.default_rng(1).random((4, 6, 5, 3), dtype="float32")
    restored = model.predict(clip[None], verbose=0)[0]
    wanted = by_hand(mapping, clip.astype("float64"))
    assert np.abs(wanted).max() > 1
    # float32 sums over some hundred values of up to 255, stated in units of 1.
    np.testing.assert_allclose(restored, wanted, atol=2e-5 * np.abs(wanted).max())


def test_steps_are_the_clip_one_frame_late():
    mapping = public_layout(seed=2)
    model = models.build("rlsp", features=FEATURES).load_public_weights(mapping)
    clip = np.random.default_rng(1).random((1, 4, 6, 5, 3), dtype="float32")
    whole = model.predict(clip, verbose=0)
    assert model.latency == 1
    state = model.initial_state(clip[:, 0])
    late = []
    for t in (0, 1, 2, 3, 3):
        out, state = model.step(clip[:, t], state)
        late.append(np.asarray(out))
    np.testing.assert_allclose(np.stack(late[1:], 1), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "features, count", [(64, 282128), (48, 163216), (128, 1080336)]
)
def test_parameters(features, count):
    assert models.build("rlsp", features=features).count_params() == count


def test_the_loop_holds_state_and_feedback():
    model = models.build("rlsp", features=FEATURES).load_public_weights(public_layout())
    (loop,) = model.loops()
    assert (loop.entry.conv, loop.entry.start) == (model.cell.body[0], 9)
    gain = loop.gain(
        lambda part: numerics.conv_norm_bound(
            part.conv.kernel.numpy()[:, :, part.start : part.stop]
        )
    )
    # Two states that differ, the same frames: no more than the gain apart after.
    random = np.random.default_rng(3)
    frames = random.random((1, 6, 5, 9), dtype="float32")
    state = [random.normal(size=(1, 6, 5, n)).astype("float32") for n in (FEATURES, 16)]
    apart = [random.normal(size=s.shape).astype("float32") for s in state]
    other = [s + a for s, a in zip(state, apart, strict=True)]
    _, first = model.cell(frames, tuple(state))
    _, second = model.cell(frames, tuple(other))
    size = lambda xs: np.sqrt(sum((np.asarray(x) ** 2).sum() for x in xs))  # noqa: E731
    grown = size([a - b for a, b in zip(first, second, strict=True)])
    assert 0 < grown <= gain * size(apart)


def test_constrained():
    loop = SRNC(0.9, where="loop", frame_size=8)
    model = models.build("rlsp", features=FEATURES, constraint=loop)
    model.load_public_weights(public_layout())
    (loop,) = model.fold().loops()
    gain = loop.gain(
        lambda part: numerics.conv_norm_bound(
            part.conv.kernel.numpy()[:, :, part.start : part.stop]
        )
    )
    assert gain <= 0.9
    soft = SRNC(2.0, 0.4, frame_size=8)
    models.build("rlsp", features=FEATURES, constraint=soft).load_public_weights(
        public_layout()
    )


def test_other_weights_are_refused():
    model = models.build("rlsp", features=8)
    before = model.cell.heads.kernel.numpy()
    with pytest.raises(ValueError, match="number of features"):
        model.load_public_weights(public_layout())
    with pytest.raises(ValueError, match="layer7_bias is missing"):
        found = public_layout(8)
        del found["layer7_bias"]
        model.load_public_weights(found)
    np.testing.assert_array_equal(model.cell.heads.kernel.numpy(), before)
    with pytest.raises(ValueError, match="No public weights"):
        models.build("vresnet_feat", features=4).load_public_weights({})
    with pytest.raises(ValueError, match="does not take"):
        models.build("rlsp", scale=2)


@pytest.mark.skipif(not PUBLIC, reason="STABLEVID_RLSP_WEIGHTS names no file")
def test_public_weights():
    stored = np.load(PUBLIC)
    model = models.build("rlsp", features=48).load_public_weights(stored)
    clip = stored["lr"][:4, 60:76, 80:100] / np.float32(255)
    restored = model.predict(clip[None], verbose=0)[0]
    wanted = by_hand(stored, clip.astype("float64"), features=48)
    np.testing.assert_allclose(restored, wanted, atol=1e-3)
