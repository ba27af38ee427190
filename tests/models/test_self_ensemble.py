"""The x8 self-ensemble of every kind of restorer.

Tested: against a loop over np.rot90 and np.flip that calls `model.predict`; steps and
streams; folding; saving; what is refused.
Not tested: that it gains accuracy.
"""

import keras
import numpy as np
import pytest
import witness_feedforward as feedforward

from stablevid_tf import models, streaming
from stablevid_tf.constraints import SRNC

SMALL = {"features": 4}
KINDS = {
    "vresnet_feat_mf3": SMALL | {"blocks": 2, "scale": 2},
    "vdncnn_frame": SMALL | {"depth": 2},
    "vresnet_birlsp": SMALL | {"blocks": 1, "scale": 2},
    "rlsp": SMALL,
    "wdvr2d": SMALL | {"blocks": 1, "activations": 6, "scale": 2},
    "wdvr3d_tsas": SMALL | {"blocks": 1, "activations": 6, "scale": 1},
    "fastdvdnet": {"features": 2, "frame_features": 2},
}


def build(name, **arguments):
    keras.utils.set_random_seed(0)
    return models.build(name, **KINDS[name] | arguments)


def clip(length=3, height=5, width=7):
    random = np.random.default_rng(0)
    return random.random((2, length, height, width, 3), dtype="float32")


@pytest.mark.parametrize("name", KINDS)
def test_the_average_over_rotations_and_flips(name):
    model, frames = build(name), clip()
    truth = feedforward.eightfold(lambda x: np.array(model(x), "float64"), frames)
    ensemble = models.self_ensemble(model)
    found = ensemble.predict(frames, verbose=0)
    assert type(ensemble) is type(model)
    assert (ensemble.scale, ensemble.causal) == (model.scale, model.causal)
    # The same float32 numbers, averaged in another order; rlsp computes in 0...255.
    np.testing.assert_allclose(found, truth, atol=1e-5 * max(1, np.abs(truth).max()))
    assert np.abs(found - np.array(model(frames))).max() > 1e-3
    assert hasattr(ensemble, "step") is model.causal
    if model.causal:
        assert ensemble.latency == model.latency
        streamed = np.stack(list(streaming.restore(ensemble, frames[0])))
        np.testing.assert_allclose(streamed, found[0], atol=1e-4)


def test_it_has_eight_states():
    ensemble = models.self_ensemble(build("vdncnn_frame"))
    state = ensemble.initial_state(clip()[:, 0])
    shapes = [tuple(s.shape) for s in keras.tree.flatten(state)]
    assert shapes == [(8, 5, 7, 3), (8, 7, 5, 3)]


@pytest.mark.parametrize("name", ["vresnet_feat_mf3", "vresnet_birlsp"])
def test_folded_and_saved(tmp_path, name):
    constraint = SRNC(0.9, where="loop", frame_size=8)
    model, frames = build(name, constraint=constraint), clip()
    ensemble = models.self_ensemble(model)
    assert [loop.name for loop in ensemble.loops()] == [
        loop.name for loop in model.loops()
    ]
    truth = models.self_ensemble(model.fold()).predict(frames, verbose=0)
    folded = ensemble.fold()
    assert folded is not ensemble
    np.testing.assert_allclose(folded.predict(frames, verbose=0), truth, atol=1e-6)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_array_equal(
        loaded.predict(frames, verbose=0), ensemble.predict(frames, verbose=0)
    )


def test_its_weights_are_the_models():
    model = build("vdncnn_frame")
    ensemble = models.self_ensemble(model)
    assert ensemble.count_params() == model.count_params()
    assert ensemble.network.cell is model.network


def test_another_model_is_refused():
    with pytest.raises(ValueError, match=r"stablevid_tf\.models.*Received: Sequential"):
        models.self_ensemble(keras.Sequential([]))
