"""Models on disk, folded, and adopted.

Tested: `.keras` and `.weights.h5` round trips, in a fresh process after one import;
optimiser, loss and metrics with them; fold() and its certificate; adopt().
Not tested: the published entries (tests/zoo).
"""

import subprocess
import sys

import keras
import numpy as np
import pytest
import witness

from stablevid_tf import metrics, models, numerics
from stablevid_tf.constraints import SRNC
from stablevid_tf.losses import Charbonnier

CONSTRAINTS = {
    "none": None,
    "all": SRNC(1.0, 0.4, frame_size=8),
    "body": SRNC(1.0, where="body", frame_size=8),
    "loop": SRNC(0.9, where="loop", frame_size=8),
}


def clip(length=3, size=8):
    random = np.random.default_rng(0)
    return random.random((2, length, size, size, 3), dtype="float32")


def fresh(name="vresnet_feat", constraint="all", **arguments):
    keras.utils.set_random_seed(0)
    stages = {"blocks": 1} if name.startswith("vresnet") else {"depth": 2}
    model = models.build(
        name, features=4, **stages, constraint=CONSTRAINTS[constraint], **arguments
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        Charbonnier(),
        metrics=[metrics.PSNR("last"), metrics.PSNR(y=True)],
        jit_compile=False,
    )
    return model


def trained(name="vresnet_feat", constraint="all", **arguments):
    model = fresh(name, constraint, **arguments)
    model.fit(clip(), 1 - clip(), epochs=3, verbose=0)
    return model


def large(*arguments):
    return pytest.param(*arguments, marks=pytest.mark.large)


LOAD = """
import sys
{first}
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
clip = np.load(sys.argv[2])
np.save(sys.argv[3], model.predict(clip, verbose=0))
model.fit(clip, 1 - clip, epochs=1, verbose=0)
np.savez(sys.argv[4], *model.get_weights())
"""


@pytest.mark.parametrize(
    "first, name, constraint",
    [
        ("import stablevid_tf.models", "vresnet_feat_mf3", "all"),
        large("from stablevid_tf import models", "vresnet_birlsp", "loop"),
    ],
)
def test_a_fresh_process_loads_it_after_one_import(tmp_path, first, name, constraint):
    model = trained(name, constraint)
    np.save(tmp_path / "clip.npy", clip())
    model.save(tmp_path / "model.keras")
    truth = model.predict(clip(), verbose=0)
    model.fit(clip(), 1 - clip(), epochs=1, verbose=0)
    files = [str(tmp_path / f) for f in ("model.keras", "clip.npy", "y.npy", "w.npz")]
    program = LOAD.format(first=first)
    done = subprocess.run(
        [sys.executable, "-c", program, *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # The same machine, the same operations: bit for bit.
    np.testing.assert_array_equal(np.load(files[2]), truth)
    # ... training goes on identically too: optimiser and vectors came along.
    with np.load(files[3]) as archive:
        for key, weight in zip(archive.files, model.get_weights(), strict=True):
            np.testing.assert_array_equal(archive[key], weight)


@pytest.mark.parametrize(
    "name, constraint",
    [
        ("vdncnn_frame", "loop"),
        ("vresnet_rlsp_mf3", "none"),
        large("vresnet_rlsp_mf3", "body"),
        large("vdncnn_shift", "none"),
        large("vdncnn_frame", "all"),
        large("vresnet_rlsp_mf3", "loop"),
        large("vdncnn_shift", "all"),
        large("vdncnn_shift", "loop"),
    ],
)
def test_round_trip(tmp_path, name, constraint):
    model = trained(name, constraint)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.get_config() == model.get_config()
    assert loaded.name == model.name
    x = clip(4)
    truth = model.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), truth)
    model.save_weights(tmp_path / "model.weights.h5")
    other = fresh(name, constraint)
    for variable in other.variables:
        variable.assign(keras.ops.zeros_like(variable))
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.predict(x, verbose=0), truth)
    state = loaded.initial_state(x[:, 0])
    out, _ = loaded.step(x[:, 0], state)
    assert out.shape == (2, 8, 8, 3)


def test_a_bfloat16_model_keeps_its_policy(tmp_path):
    model = fresh("vresnet_feat", "loop", dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "mixed_bfloat16"
    assert loaded.cell.body[0].conv1.dtype_policy.name == "mixed_bfloat16"
    np.testing.assert_array_equal(
        loaded.predict(clip(), verbose=0), model.predict(clip(), verbose=0)
    )


def test_inside_a_functional_model_it_is_saved_too(tmp_path):
    model = fresh("vresnet_feat_mf3", "loop")
    inputs = keras.Input((None, None, None, 3))
    whole = keras.Model(inputs, keras.layers.Rescaling(2.0)(model(inputs)))
    whole.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras")
    x = clip()
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), whole.predict(x, verbose=0)
    )


def test_weights_of_another_architecture_are_refused(tmp_path):
    fresh("vresnet_feat", "none").save_weights(tmp_path / "a.weights.h5")
    other = models.build("vresnet_feat", features=8, blocks=2)
    with pytest.raises(ValueError):
        other.load_weights(tmp_path / "a.weights.h5")


@pytest.mark.parametrize(
    "name, constraint",
    [
        ("vresnet_feat", "all"),
        ("vdncnn_rlsp_mf3", "loop"),
        ("vresnet_birlsp", "body"),
        large("vresnet_birlsp", "all"),
        large("vresnet_birlsp", "loop"),
        large("vdncnn_rlsp_mf3", "all"),
        large("vresnet_feat", "loop"),
    ],
)
def test_fold(name, constraint):
    model = trained(name, constraint)
    before = [w.copy() for w in model.get_weights()]
    twin = model.fold()
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # Plain convolutions alone, as many parameters as the unconstrained model has.
    layers = [x for x in twin._flatten_layers() if hasattr(x, "kernel")]
    assert {type(x) for x in layers} == {keras.layers.Conv2D}
    assert twin.count_params() == sum(w.size for w in before if w.ndim in (1, 4)) - sum(
        keras.ops.size(x.u) + keras.ops.size(x.v)
        for x in model._flatten_layers()
        if hasattr(x, "u")
    )
    x = clip(4)
    y, folded = model.predict(x, verbose=0), twin.predict(x, verbose=0)
    # Kernels shrink by at most some percent: norms are taken at 8 pixels here.
    assert np.abs(folded - y).max() < 0.2 * np.abs(y - x).max() + 1e-3
    assert model.fold() is not twin
    assert twin.fold() is twin
    if constraint != "loop":
        free = () if constraint == "all" else (twin.network.head, twin.network.tail)
        constrained = [x for x in layers if not any(x is y for y in free)]
        assert len(constrained) >= 2
        for layer in constrained:
            kernel = layer.kernel.numpy()
            assert numerics.conv_norm_bound(kernel) <= 1.0
            assert witness.norm(kernel, 10) <= 1.0


def test_fold_of_a_large_frame_is_close():
    # With norms taken on larger maps the certified factor is near one.
    model = models.build(
        "vresnet_feat", features=4, blocks=1, constraint=SRNC(1.0, frame_size=48)
    )
    x = clip(4)
    y, folded = model.predict(x, verbose=0), model.fold().predict(x, verbose=0)
    assert np.abs(folded - y).max() < 0.02 * np.abs(y - x).max()


def test_without_a_constraint_folding_gives_the_model_itself():
    model = models.build("vresnet_feat", features=4, blocks=1)
    assert model.fold() is model


@pytest.mark.parametrize("constraint", ["all", "loop", large("body")])
def test_adopt_is_exact_and_training_goes_on(tmp_path, constraint):
    model = trained("vresnet_feat", constraint)
    folded = model.fold()
    model.adopt(folded)
    x = clip(4)
    y = folded.predict(x, verbose=0)
    # At inference the adopted kernels are used exactly as they are.
    np.testing.assert_array_equal(model.predict(x, verbose=0), y)
    # ... also after folding once more, and from a file.
    np.testing.assert_array_equal(model.fold().predict(x, verbose=0), y)
    model.save_weights(tmp_path / "adopted.weights.h5")
    other = fresh("vresnet_feat", constraint)
    other.load_weights(tmp_path / "adopted.weights.h5")
    np.testing.assert_array_equal(other.predict(x, verbose=0), y)
    model.fit(x, 1 - x, epochs=2, verbose=0)
    assert np.abs(model.predict(x, verbose=0) - y).max() > 0
    for layer in model.fold()._flatten_layers():
        if constraint == "all" and hasattr(layer, "kernel"):
            assert numerics.conv_norm_bound(layer.kernel.numpy()) <= 1.0
