"""Training on several devices equals training on one.

Tested: MirroredStrategy on two logical CPU devices, and JAX on two processes that meet
on loopback (keras.distribution.DataParallel), both against one TensorFlow device:
losses and weights; SRN-C's vectors on every replica; the example that starts both.
Not tested: accelerators, real networks, processes that die.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
# float32 sums in another order, over four steps.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

SHARED = """
import json, sys
import numpy as np
import keras
from stablevid_tf import models
from stablevid_tf.constraints import SRNC
from stablevid_tf.losses import Charbonnier

random = np.random.default_rng(0)
clean = random.random((8, 2, 8, 8, 3), dtype="float32")
noisy = clean + 0.1 * random.standard_normal(clean.shape, dtype="float32")


def make():
    keras.utils.set_random_seed(0)
    constraint = SRNC(2.0, 0.4, where="body", frame_size=8)
    model = models.build("vresnet_feat", features=4, blocks=1, constraint=constraint)
    model.compile(keras.optimizers.SGD(0.1, 0.9), Charbonnier(), jit_compile=False)
    return model


def train(model, share=slice(None), batch=4):
    history = model.fit(
        noisy[share], clean[share], batch_size=batch, epochs=2, shuffle=False, verbose=0
    )
    return history.history["loss"]
"""

TENSORFLOW = (
    """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, halves)
"""
    + SHARED
    + """
folder = sys.argv[1]
one = make()
one.save_weights(f"{folder}/first.weights.h5")
losses = train(one)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    two = make()
two_losses = train(two)
apart = 0.0
for variable in two.variables:
    replicas = [np.asarray(v) for v in variable.value.values]
    assert len(replicas) == 2
    apart = max(apart, float(np.abs(replicas[0] - replicas[1]).max()))
vectors = [v.path for v in two.non_trainable_variables if v.path.endswith(("/u", "/v"))]
np.savez(f"{folder}/one.npz", *one.get_weights())
np.savez(f"{folder}/two.npz", *two.get_weights())
json.dump(
    {"one": losses, "two": two_losses, "apart": apart, "vectors": len(vectors)},
    open(f"{folder}/losses.json", "w"),
)
"""
)

JAX = (
    """
import sys
sys.modules["tensorflow"] = None
import jax
folder, index, address = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.distributed.initialize(address, 2, index)
"""
    + SHARED
    + """
assert len(jax.devices()) == 2
keras.distribution.set_distribution(
    keras.distribution.DataParallel(auto_shard_dataset=False)
)
model = make()
model.load_weights(f"{folder}/first.weights.h5")
losses = train(model, slice(index, None, 2), batch=2)
np.savez(f"{folder}/jax{index}.npz", *model.get_weights())
json.dump(losses, open(f"{folder}/jax{index}.json", "w"))
"""
)


def start(arguments, **environment):
    environment = os.environ | environment
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait(*processes):
    try:
        for process in processes:
            said, _ = process.communicate(timeout=500)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in processes:
            process.kill()


def start_jax(arguments):
    return start(
        arguments,
        KERAS_BACKEND="jax",
        JAX_PLATFORMS="cpu",
        XLA_FLAGS="--xla_backend_optimization_level=0",
    )


def meeting_place():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="needs the extra jax"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One device and two, with TensorFlow."""
    folder = tmp_path_factory.mktemp("runs")
    wait(start(["-c", TENSORFLOW, str(folder)], KERAS_BACKEND="tensorflow"))
    return folder


def weights(path):
    with np.load(path) as found:
        return [found[name] for name in found.files]


def assert_close(a, b):
    assert len(a) == len(b) > 10
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, **CLOSE)


def test_two_replicas_train_as_one_device(folder):
    found = json.loads((folder / "losses.json").read_text())
    assert found["one"][1] < found["one"][0]
    np.testing.assert_allclose(found["two"], found["one"], **CLOSE)
    assert_close(weights(folder / "two.npz"), weights(folder / "one.npz"))
    # Every variable, and the constraint's vectors among them, bit for bit.
    assert found["vectors"] == 4
    assert found["apart"] == 0


@needs_jax
def test_two_jax_processes_train_as_one_tensorflow_device(folder):
    place = meeting_place()
    wait(*(start_jax(["-c", JAX, str(folder), str(i), place]) for i in range(2)))
    losses = [json.loads((folder / f"jax{i}.json").read_text()) for i in range(2)]
    assert losses[0] == losses[1]
    one = json.loads((folder / "losses.json").read_text())["one"]
    np.testing.assert_allclose(losses[0], one, **CLOSE)
    mine, other = (weights(folder / f"jax{i}.npz") for i in range(2))
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_close(mine, weights(folder / "one.npz"))


@needs_jax
@pytest.mark.large
def test_the_example_on_two_machines(tmp_path):
    (tmp_path / "clips").mkdir()
    random = np.random.default_rng(0)
    for t in range(6):
        image = random.integers(0, 256, (16, 20, 3), dtype="uint8")
        Image.fromarray(image).save(tmp_path / "clips" / f"{t}.png")
    small = "--features 8 --blocks 1 --frames 2 --size 8 --batch 4 --steps 2 --epochs 2"
    command = [str(ROOT / "examples" / "train_distributed.py"), str(tmp_path / "clips")]
    command += small.split()
    wait(start_jax([*command, "--run", str(tmp_path / "one")]))
    more = ["--run", str(tmp_path / "two"), "--machines", "2"]
    more += ["--meet", meeting_place()]
    wait(*(start_jax([*command, *more, "--machine", str(i)]) for i in range(2)))
    logs = [
        np.genfromtxt(tmp_path / run / "log.csv", delimiter=",", names=True)["loss"]
        for run in ("one", "two")
    ]
    assert len(logs[0]) == 2
    np.testing.assert_allclose(logs[1], logs[0], **CLOSE)
    assert (tmp_path / "two" / "model.weights.h5").is_file()
