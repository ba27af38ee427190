"""FastDVDnet, recomputed in NumPy float64.

Tested: the three-frame block and the five-frame network at inference, with statistics
that matter; sizes that 4 does not divide; steps and streams against the whole clip;
statistics in training, on disk, folded and adopted; counts; what is refused.
Not tested: public weights; accuracy.
"""

import keras
import numpy as np
import pytest
import witness
import witness_feedforward as feedforward

from stablevid_tf import models, streaming
from stablevid_tf.constraints import SRNC

PARTS = ("frames", "down1", "down2", "up2", "up1")
SMALL = {"features": 3, "frame_features": 2, "sigma": 50.0, "clip_length": 3}


def build(**arguments):
    model = models.build("fastdvdnet", **SMALL | arguments)
    random = np.random.default_rng(0)
    for variable in model.variables:
        if variable.path.endswith("kernel"):
            scale = 1.5 / np.prod(variable.shape[:-1]) ** 0.5
            variable.assign(scale * random.normal(size=variable.shape))
        elif len(variable.shape) == 1:
            # Gains, offsets, means and (positive) variances of batch normalisation.
            variable.assign(0.5 + random.random(variable.shape))
    return model


def unit(pair):
    conv, norm = pair
    stored = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    return conv.kernel.numpy(), [s.numpy() for s in stored]


def weights(unet):
    found = {n: [unit(p) for p in getattr(unet, n)] for n in PARTS}
    found |= {n: unit(getattr(unet, n)) for n in ("joined", "last")}
    plain = ("shuffled1", "shuffled2", "tail")
    return found | {n: getattr(unet, n).kernel.numpy() for n in plain}


def clip(length=4, height=8, width=8, batch=1):
    shape = (batch, length, height, width, 3)
    return np.random.default_rng(1).random(shape, dtype="float32")


def close(found, truth):
    # float32 through sixteen convolutions a stage, against float64.
    np.testing.assert_allclose(found, truth, atol=1e-4 * np.abs(truth).max())


def by_hand(model, frames):
    """The edges of the clip are repeated."""
    both = [weights(u) for u in (model.cell.first, model.cell.second)]
    length = frames.shape[1]
    restored = []
    for t in range(length):
        near = [frames[:, np.clip(t + d, 0, length - 1)] for d in range(-2, 3)]
        restored.append(feedforward.five_frames(near, 50.0, *both))
    return np.stack(restored, 1)


def test_three_frames():
    unet = build().cell.second
    frames = [clip(seed)[:, 0] for seed in (1, 2, 3)]
    level = np.full((1, 8, 8, 1), 50 / 255, "float32")
    truth = feedforward.three_frames(frames, 50.0, weights(unet))
    close(np.array(unet(frames, level)), truth)


@pytest.mark.parametrize("height, width, length", [(8, 12, 4), (7, 5, 1)])
def test_five_frames(height, width, length):
    model, frames = build(), clip(length, height, width)
    truth = by_hand(model, frames)
    assert np.abs(truth - frames).max() > 0.1
    close(np.array(model(frames)), truth)
    streamed = np.stack(list(streaming.restore(model, frames[0])))
    assert model.latency == 2
    close(streamed, truth[0])


def test_any_size():
    model = build()
    for height, width in ((1, 1), (2, 9)):
        frames = clip(5, height, width)
        whole = np.array(model(frames))
        assert whole.shape == frames.shape
        close(np.stack(list(streaming.restore(model, frames[0]))), whole[0])


def test_sigma_is_seen():
    frames = clip(3)
    a, b = (np.array(build(sigma=s)(frames)) for s in (10.0, 50.0))
    assert np.abs(a - b).max() > 1e-3


def statistics(model):
    return [
        v.numpy().copy()
        for v in model.non_trainable_variables
        if "moving" in v.path.rsplit("/", 1)[-1]
    ]


def test_training_moves_the_statistics_once_a_step():
    model, frames = build(), clip(6, batch=2)
    before = statistics(model)
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    np.array(model(frames))
    for old, new in zip(before, statistics(model), strict=True):
        np.testing.assert_array_equal(old, new)
    model.fit(frames, frames, epochs=1, verbose=0)
    # The first convolution of the first stage: what its middle frames' maps average.
    conv, norm = model.cell.first.frames[1]
    level = np.full((*frames.shape[:-1], 1), 50 / 255)
    seen = np.concatenate([frames, level], -1)
    seen = seen[:, np.clip(np.arange(-1, 7), 0, 5)]
    maps = witness.conv(seen.reshape(-1, 8, 8, 4), conv.kernel.numpy())
    stored = [s for s in before if s.shape == norm.moving_mean.shape]
    moved = norm.moving_mean.numpy() - 0.1 * maps.mean((0, 1, 2))
    # All frames in one batch: one update of momentum 0.9.
    assert any(np.allclose(moved, 0.9 * s, atol=1e-5) for s in stored)
    for old, new in zip(before, statistics(model), strict=True):
        assert not np.array_equal(old, new)


def test_statistics_are_saved(tmp_path):
    model, frames = build(), clip(5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(frames), model(frames))
    assert model.fold() is model


@pytest.mark.large
def test_statistics_are_folded_and_adopted():
    constraint = SRNC(1.5, frame_size=8)
    model = build(constraint=constraint, features=2)
    other = models.build("fastdvdnet", **SMALL | {"features": 2}, constraint=constraint)
    folded = model.fold()
    other.adopt(folded)
    before = statistics(model)
    # Two stages, a mean and a variance each, of fifteen normalisations.
    assert len(before) == 2 * 2 * 15
    for twin in (folded, other):
        for old, new in zip(before, statistics(twin), strict=True):
            np.testing.assert_array_equal(old, new)
    gains = [v.numpy() for v in model.weights if v.path.endswith("gamma")]
    for v in other.weights:
        if v.path.endswith("gamma"):
            np.testing.assert_array_equal(v, gains.pop(0))


def test_parameters():
    model = models.build("fastdvdnet")
    for unet in (model.cell.first, model.cell.second):
        trained = sum(w.numpy().size for w in unet.trainable_weights)
        assert trained == 1_239_548
        assert unet.count_params() - trained == 2 * 1114
    # Without groups in the first convolution it would be the paper's 2.49 million.
    assert 2 * (1_239_548 + 9 * 12 * 90 - 9 * 4 * 90) == 2_492_056


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"sigma": -1}, "0 to 255.*-1"),
        ({"sigma": 300.0}, "0 to 255.*300"),
        ({"window": 3}, r"does not take \['window'\]"),
        ({"features": 0}, "features must be a positive"),
    ],
)
def test_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        models.build("fastdvdnet", **arguments)
