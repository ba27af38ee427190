"""A strength for every denoiser.

Tested: the blend and the second pass against NumPy around steps of the plain model,
with states, windows, clip networks and frame numbers; steps equal whole clips; 0 is
exact; continuity; noise maps; loops and certificates; cuts under the guard; folding,
saving, shared weights; what is refused.
Not tested: how much better a picture gets (a matter of taste and of the model).
"""

import keras
import numpy as np
import pytest
from streamed import streamed

from stablevid_tf import models, streaming
from stablevid_tf.constraints import SRNC
from stablevid_tf.diagnostics import certify

SMALL = {"features": 4, "blocks": 1}
CAUSAL = ["vresnet_feat", "vresnet_rlsp", "vresnet_shift", "vresnet_feat_mf3"]


def build(name="vresnet_feat", **arguments):
    keras.utils.set_random_seed(0)
    return models.build(name, **SMALL | arguments)


def clip(length=5, seed=0):
    shape = (2, length, 8, 9, 3)
    return np.random.default_rng(seed).random(shape, dtype="float32")


def witness(model, frames, strength):
    """The definition, in NumPy, around whole-clip calls of the plain model."""
    once = np.array(model(frames))
    if strength <= 1:
        return frames + strength * (once - frames)
    twice = np.array(model(once))
    return (2 - strength) * once + (strength - 1) * twice


@pytest.mark.parametrize("strength", [0.3, 1, 1.5, 2])
@pytest.mark.parametrize("name", ["vresnet_feat", "vresnet_rlsp", "vresnet_birlsp"])
def test_the_definition(name, strength):
    model, frames = build(name), clip()
    wrapped = models.at_strength(model, strength)
    truth = witness(model, frames, strength)
    np.testing.assert_allclose(np.array(wrapped(frames)), truth, atol=1e-5)
    assert np.abs(truth - frames).max() > 1e-2
    assert type(wrapped) is type(model) and wrapped.name == model.name
    if model.causal:
        assert wrapped.latency == model.latency
        np.testing.assert_allclose(streamed(wrapped, frames), truth, atol=1e-5)


@pytest.mark.parametrize("strength", [0.5, 1.7])
@pytest.mark.parametrize("name", ["vresnet_feat_mf3", "vresnet_single_mf7"])
def test_windows(name, strength):
    model, frames = build(name), clip(12)
    wrapped = models.at_strength(model, strength)
    half = model.latency
    assert wrapped.latency == half * (1 if strength <= 1 else 2)
    found = np.array(wrapped(frames))
    np.testing.assert_allclose(streamed(wrapped, frames), found, atol=1e-5)
    # At its end the first pass sees the last frame repeated, and so does the second.
    padded = np.concatenate([frames, *[frames[:, -1:]] * half], axis=1)
    truth = witness(model, padded if strength > 1 else frames, strength)
    np.testing.assert_allclose(found, truth[:, :12], atol=1e-5)


def test_numbered_frames():
    model, frames = build(frame_number=3), clip()
    for strength in (0.4, 1.6):
        wrapped = models.at_strength(model, strength)
        truth = witness(model, frames, strength)
        np.testing.assert_allclose(streamed(wrapped, frames), truth, atol=1e-5)


@pytest.mark.parametrize("name", [*CAUSAL, "vresnet_birlsp"])
def test_zero_is_exact(name):
    frames = clip()
    wrapped = models.at_strength(build(name), 0)
    np.testing.assert_array_equal(np.array(wrapped(frames)), frames)
    assert certify(wrapped).certified
    restored = np.stack(list(streaming.restore(wrapped, frames[0])))
    np.testing.assert_array_equal(restored, frames[0])


@pytest.mark.parametrize("name", ["vresnet_feat", "vresnet_feat_mf3", "vresnet_birlsp"])
def test_continuous(name):
    model, frames = build(name), clip(4)
    seen = {
        s: np.array(models.at_strength(model, s)(frames))
        for s in (0, 1e-4, 0.9999, 1, 1.0001, 1.9999, 2)
    }
    for one, other in ((0, 1e-4), (0.9999, 1), (1, 1.0001), (1.9999, 2)):
        assert np.abs(seen[one] - seen[other]).max() < 1e-3
    np.testing.assert_array_equal(seen[1], np.array(model(frames)))


def test_a_noise_map_is_told_the_scaled_level():
    told = models.at_noise_level(build(noise_map=True), 30)
    frames = clip(3)
    for strength, level in ((0.5, 15), (1, 30), (2, 60)):
        wrapped = models.at_strength(told, strength)
        assert wrapped.network.sigma == level
        truth = np.array(models.at_noise_level(told, level)(frames))
        np.testing.assert_array_equal(np.array(wrapped(frames)), truth)
    loud = models.at_noise_level(told, 200)
    assert models.at_strength(loud, 1.9).network.sigma == 255
    # Below 0.1 it fades out: continuous, and exact at 0.
    quiet = np.array(models.at_noise_level(told, 1.5)(frames))
    half = np.array(models.at_strength(told, 0.05)(frames))
    np.testing.assert_allclose(half, (frames + quiet) / 2, atol=1e-6)
    np.testing.assert_array_equal(np.array(models.at_strength(told, 0)(frames)), frames)
    ends = [np.array(models.at_strength(told, s)(frames)) for s in (0.0999, 0.1, 1e-6)]
    assert np.abs(ends[0] - ends[1]).max() < 2e-3
    assert np.abs(ends[2] - frames).max() < 1e-4


@pytest.mark.parametrize("strength", [0.5, 1.5])
def test_loops_and_certificate(strength):
    held = SRNC(0.9, where="loop", frame_size=8)
    model = build(blocks=2, constraint=held)
    wrapped, plain = models.at_strength(model, strength), certify(model)
    found = certify(wrapped)
    passes = 1 if strength <= 1 else 2
    assert len(found.loops) == 2 * passes
    assert len({loop.name for loop in found.loops}) == 2 * passes
    assert found.certified and found.contraction == plain.contraction
    # The effective kernels are the plain model's, though two loops name each.
    np.testing.assert_allclose(
        np.array(wrapped(clip())), witness(model, clip(), strength), atol=1e-5
    )
    # What decays as certified: the difference between two states of both passes.
    frame = clip(1)[:, 0]
    one = wrapped.initial_state(frame)
    other = keras.tree.map_structure(lambda x: np.array(x) + 1, one)
    for _ in range(80):
        (_, one), (_, other) = wrapped.step(frame, one), wrapped.step(frame, other)
    for a, b in zip(*(keras.tree.flatten(s) for s in (one, other)), strict=True):
        assert np.abs(np.array(a) - np.array(b)).max() < 1e-2


def test_dampened_once():
    model, frames = build(), clip()
    calm = models.dampened(models.at_strength(model, 1.5), 0.5)
    truth = witness(models.dampened(model, 0.5), frames, 1.5)
    np.testing.assert_allclose(np.array(calm(frames)), truth, atol=1e-5)


@pytest.mark.parametrize("strength", [0.5, 1.5])
def test_a_cut_resets_both_passes(strength):
    model = models.at_strength(build(), strength)
    dark = np.full((10, 16, 16, 3), 0.1, "float32")
    frames = np.concatenate([dark, dark + 0.8])
    guard = streaming.Guard(burn_in=2)
    found = np.stack(list(streaming.restore(model, frames, guard)))
    assert (10, "scene cut") in guard.events
    parts = [list(streaming.restore(model, half)) for half in (dark, dark + 0.8)]
    np.testing.assert_allclose(found, np.concatenate(parts), atol=1e-6)


@pytest.mark.parametrize(
    "name, strength",
    [("vresnet_feat", 0), ("vresnet_feat_mf3", 1.5), ("vresnet_birlsp", 1.5)],
)
def test_folded_saved_and_shared(tmp_path, name, strength):
    model = build(name, constraint=SRNC(2.0, 0.5, frame_size=8))
    wrapped, frames = models.at_strength(model, strength), clip()
    assert {id(w) for w in wrapped.weights} == {id(w) for w in model.weights}
    np.testing.assert_allclose(
        np.array(wrapped.fold()(frames)),
        np.array(models.at_strength(model.fold(), strength)(frames)),
        atol=1e-5,
    )
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(loaded(frames)), np.array(wrapped(frames)))
    assert loaded.get_config() == wrapped.get_config()


def test_another_strength_replaces_the_first():
    model, frames = build(), clip()
    again = models.at_strength(models.at_strength(model, 1.5), 0.5)
    np.testing.assert_array_equal(
        np.array(again(frames)), np.array(models.at_strength(model, 0.5)(frames))
    )


def test_what_is_refused():
    for strength in (-0.1, 2.1, float("nan")):
        with pytest.raises(ValueError, match=r"out of range\. Use a number from 0"):
            models.at_strength(build(), strength)
        with pytest.raises(ValueError, match=r"out of range\. Use a number from 0"):
            told = models.at_noise_level(build(noise_map=True), 30)
            models.at_strength(told, strength)
    with pytest.raises(ValueError, match=r"of scale 2\. Leave the strength at 1"):
        models.at_strength(build(scale=2), 0)
    with pytest.raises(ValueError, match="Set the level first, with"):
        models.at_strength(build(noise_map=True), 0.5)
    with pytest.raises(ValueError, match="Received: Sequential"):
        models.at_strength(keras.Sequential([]), 0.5)
