"""The JAX backend, in a process of its own where TensorFlow cannot be imported.

Tested: build, whole clips (unrolled and scanned), steps, fit, fold, certificate and
receptive field of a loop-held model, and of a batch-normalised one (large) what its
loop could break; optical flow without weights; weights from TensorFlow to JAX and back,
with equal outputs, losses and trained weights; clips and callbacks of a recipe.
Not tested: SRN-C on JAX (tests/training/test_distribution.py); accelerators; every
architecture (the reference backend's tests).
"""

import importlib.util
import inspect
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from stablevid_tf import backend, diagnostics, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import ClipDataset, ImageWriter
from stablevid_tf.layers import LucasKanade

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("jax") is None, reason="needs the extra jax"
    ),
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="compares with TensorFlow"
    ),
]
# float32 sums in another order; outputs and losses are of the order of 1.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
CASES = {
    "loop": ("vresnet_feat", SRNC(0.95, where="loop", frame_size=8)),
    "normalised": ("strcnn", None),
}


# Both backends run these three.
def build(models, case):
    name, constraint = CASES[case]
    more = {"constraint": constraint} if constraint else {}
    return models.build(name, features=4, blocks=1, **more)


def run(model, frames):
    found = {"restored": np.asarray(model(frames))}
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    history = model.fit(
        frames, 1 - frames, batch_size=1, epochs=2, shuffle=False, verbose=0
    )
    found["losses"] = np.array(history.history["loss"])
    found["trained"] = np.asarray(model(frames))
    return found


def flow():
    """The flow of waves that move by a pixel."""
    y, x = np.mgrid[:16, :24].astype("float32")
    waves = [np.sin((x - right) / 2 + y / 4) + np.cos(y / 3) for right in (0, 1)]
    layer = LucasKanade(levels=2)
    compiled = backend.compile(lambda *frames: layer(*frames))
    return np.asarray(compiled(*(w[None, ..., None] / 4 for w in waves)))


SHARED = "".join(map(inspect.getsource, (build, run, flow)))
PROGRAM = (
    """
import json, sys
sys.modules["tensorflow"] = None
import keras
import numpy as np
from stablevid_tf import diagnostics, models
from stablevid_tf.backend import jax as backend
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import ClipDataset
from stablevid_tf.layers import LucasKanade
from stablevid_tf.training import Resume

folder = sys.argv[1]
CASES = {
    name: (architecture, constraint and SRNC(**constraint))
    for name, (architecture, constraint) in json.loads(sys.argv[2]).items()
}
"""
    + SHARED
    + """
assert keras.backend.backend() == "jax"
frames = np.load(f"{folder}/frames.npy")
for case in CASES:
    model = build(models, case)
    model.load_weights(f"{folder}/{case}.weights.h5")
    if case == "normalised":
        backend._UNROLL = 2  # what is longer is scanned, where that is possible
    found = run(model, frames)
    model.save_weights(f"{folder}/{case}.jax.weights.h5")
    if case == "loop":
        found["flow"] = flow()
        folded = model.fold()
        state = folded.initial_state(frames[:, 0])
        steps = []
        for t in range(frames.shape[1]):
            out, state = folded.step(frames[:, t], state)
            steps.append(out)
        found["steps"] = np.stack(steps, axis=1)
        found["folded"] = folded.predict(frames, verbose=0)
        backend._UNROLL = 2
        folded.predict_function = None
        found["scanned"] = folded.predict(frames, verbose=0)
        backend._UNROLL = 64
        certificate = diagnostics.certify(folded)
        found["gains"] = np.array([loop.gain for loop in certificate.loops])
        field = diagnostics.temporal_receptive_field(
            folded, tau=3, size=8, iterations=2
        )
        found["field"] = field.outputs
        clips = ClipDataset(f"{folder}/clips", frames=2, size=8, batch_size=2, steps=1)
        found["clip"] = clips[0][0]
        resume = Resume(f"{folder}/run", clips)
        model.step(frames[:, 0], model.initial_state(frames[:, 0]))
        model.fit(clips, epochs=1, verbose=0, callbacks=[resume])
        # A step that was compiled before training follows it.
        step, _ = model.step(frames[:, 0], model.initial_state(frames[:, 0]))
        found["stepped_on"] = step
        found["trained_on"] = model(frames[:, :1])[:, 0]
    np.savez(f"{folder}/{case}.npz", **found)
"""
)


@pytest.fixture(
    scope="module",
    params=["loop", pytest.param("normalised", marks=pytest.mark.large)],
)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory):
    """What JAX made of TensorFlow's weights, beside what TensorFlow made."""
    folder = tmp_path_factory.mktemp("jax")
    frames = np.random.default_rng(0).random((2, 4, 8, 8, 3), dtype="float32")
    np.save(folder / "frames.npy", frames)
    with ImageWriter(folder / "clips") as out:
        for t in range(3):
            out.write(np.full((12, 12, 3), 0.1 * t), t)
    keras.utils.set_random_seed(1)
    model = build(models, case)
    model.save_weights(folder / f"{case}.weights.h5")
    np.savez(folder / f"{case}.tf.npz", **run(model, frames))
    architecture, constraint = CASES[case]
    given = {case: (architecture, constraint and constraint.get_config())}
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        # Compiling is what takes the time.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), json.dumps(given)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("what", ["restored", "losses", "trained"])
def test_as_tensorflow(folder, case, what):
    here, there = np.load(folder / f"{case}.tf.npz"), np.load(folder / f"{case}.npz")
    np.testing.assert_allclose(there[what], here[what], **CLOSE)


def test_flow_as_tensorflow(folder, case):
    if case != "loop":
        pytest.skip("once")
    here, there = flow(), np.load(folder / "loop.npz")["flow"]
    # Six decimals of errors that are divided by slopes of 0.1, at every level.
    np.testing.assert_allclose(there, here, atol=1e-4)
    assert np.abs(here).max() > 0.5


def test_weights_come_back(folder, case):
    model = build(models, case)
    model.load_weights(folder / f"{case}.jax.weights.h5")
    restored = np.asarray(model(np.load(folder / "frames.npy")))
    trained = np.load(folder / f"{case}.npz")["trained"]
    np.testing.assert_allclose(restored, trained, **CLOSE)


def test_streaming_scanning_and_measuring(folder, case):
    if case != "loop":
        pytest.skip("of the loop-held model alone")
    there = np.load(folder / "loop.npz")
    np.testing.assert_allclose(there["steps"], there["folded"], **CLOSE)
    np.testing.assert_allclose(there["scanned"], there["folded"], **CLOSE)
    model = build(models, "loop")
    model.load_weights(folder / "loop.jax.weights.h5")
    gains = [loop.gain for loop in diagnostics.certify(model.fold()).loops]
    np.testing.assert_allclose(there["gains"], gains, rtol=1e-5)
    assert max(gains) <= 0.95
    assert np.isfinite(there["field"]).all()
    np.testing.assert_allclose(there["stepped_on"], there["trained_on"], **CLOSE)
    assert np.abs(there["trained_on"] - there["trained"][:, 0]).max() > 1e-4
    # The same clips, and a run that can be resumed.
    clips = ClipDataset(folder / "clips", frames=2, size=8, batch_size=2, steps=1)
    np.testing.assert_array_equal(there["clip"], clips[0][0])
    assert (folder / "run" / "resume.weights.h5").is_file()
