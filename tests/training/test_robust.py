"""Training that goes wrong and goes on: guard, mid-epoch resume, run folder, curve.

Tested: what is put back after a loss or a weight that is not finite, and the rate, also
of a schedule and over a resume; SIGKILL at random moments with saves inside epochs, of
plain clips, PI-BPTT and carried states with moving averages: weights bit for bit; a
full disk; two runs in one folder, alive and crashed; what run.json holds; the curve's
numbers and picture.
Not tested: a power cut (only the order of write, flush and rename stands for it).
"""

import json
import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from stablevid_tf import training
from stablevid_tf.training.learning_curve import draw, read
from stablevid_tf.training.lowered_rate import LoweredRate
from stablevid_tf.training.replaced import replaced

# A process of its own: it imports TensorFlow, runs nothing of it, and trains in copies
# of itself (fork), which it kills. `pause` spreads the batches over time.
PROGRAM = """
import os, signal, sys, time, traceback
from pathlib import Path

import h5py
import keras
import numpy as np
from stablevid_tf import models, training
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import ClipDataset, ImageWriter

EPOCHS = 3


def run(kind, folder, pause):
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)
    videos = [random.integers(0, 256, (n, 12, 12, 3), "uint8") for n in (8, 9)]
    rule = SRNC(1.0, where="body", frame_size=8) if kind == "constrained" else None
    model = models.build("vdncnn_feat", features=3, depth=1, constraint=rule)
    options = {"frames": 3, "size": 8, "batch_size": 1, "seed": 5}
    degrade = lambda clip, r: clip + r.normal(0, 0.1, clip.shape)
    if kind in ("partial", "constrained"):
        clips = training.PIBPTT(model, videos, reuse=4, degrade=degrade, **options)
    elif kind == "carried":
        clips = training.TBPTT(model, videos, degrade=degrade, **options)
        model = training.CarryState(model, batch_size=1, size=8)
    else:
        source = folder.parent / "videos"
        if not source.exists():
            with ImageWriter(source) as out:
                for t, image in enumerate(videos[0]):
                    out.write(image, t)
        clips = ClipDataset(source, steps=8, workers=2, **options)
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 50)
    ema = {"use_ema": kind == "carried", "ema_momentum": 0.9}
    model.compile(keras.optimizers.Adam(schedule, **ema), "mse", jit_compile=False)
    wait = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: time.sleep(pause)
    )
    keeper = training.Resume(folder, clips, every=1 if pause else 3)
    model.fit(clips, epochs=EPOCHS, verbose=0,
              callbacks=[training.NonFiniteGuard(), wait, keeper])
    model.save_weights(folder / "final.weights.h5")


def forked(*given):
    child = os.fork()
    if not child:
        try:
            run(*given)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return child


def ended(child, options=0):
    found, status = os.waitpid(child, options)
    assert status in (0, signal.SIGKILL)
    return found != 0, status == 0


def saved(folder):
    names = ("resume.weights.h5", "resume_step.weights.h5")
    return [(folder / n).stat().st_mtime_ns for n in names if (folder / n).exists()]


def place(folder):
    found = []
    for path in folder.glob("resume*"):
        with h5py.File(path, "r") as file:
            found.append((int(file.attrs["epoch"]), int(file.attrs.get("batches", 0))))
    return max(found, default=None)


if __name__ == "__main__":
    kind, folder, kills = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    random = np.random.default_rng()
    ended(forked(kind, folder / "unbroken", 0))
    broken = folder / "broken"
    for _ in range(kills):
        before, child = saved(broken), forked(kind, broken, 0.05)
        # Past its start, when it saves again; then at any moment.
        over = False
        while saved(broken) == before and not over:
            time.sleep(0.002)
            over, _ = ended(child, os.WNOHANG)
        if over:
            break
        time.sleep(random.uniform(0, 0.12))
        os.kill(child, signal.SIGKILL)
        if ended(child)[1]:
            break
        print(*place(broken), flush=True)
    ended(forked(kind, broken, 0))
"""


def arrays_in(path):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, node: (
                found.update({name: node[()]}) if hasattr(node, "dtype") else None
            )
        )
    return found


def check_killed(kind, folder, kills):
    """Kill a run so often; returns where: [(epoch, batches done in it)]."""
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, folder / "program.py", kind, folder, str(kills)]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("resume.weights.h5", "final.weights.h5"):
        whole, parts = (arrays_in(folder / x / name) for x in ("unbroken", "broken"))
        assert whole.keys() == parts.keys() and len(whole) > 6
        for key, value in whole.items():
            # Bit for bit: weights, vectors, optimiser and averages, carried states.
            np.testing.assert_array_equal(parts[key], value, err_msg=key)
    assert not (folder / "broken" / "resume_step.weights.h5").exists()
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


def test_killed_twice_inside_epochs(tmp_path):
    places = check_killed("partial", tmp_path, 2)
    assert len(places) == 2, "over before it was killed"


@pytest.mark.large
@pytest.mark.parametrize("kind", ["partial", "constrained", "carried", "clips"])
def test_killed_twenty_times(tmp_path, kind):
    places = check_killed(kind, tmp_path, 20)
    print(kind, places)
    # The program ends some time, however often it is killed.
    assert len(places) > 8
    assert any(batches for _, batches in places)


class Stop(keras.callbacks.Callback):
    """Ends a run as a kill does, after so many batches."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def compiled(rate=1e-2, **kwargs):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    optimizer = keras.optimizers.Adam(rate, **kwargs)
    model.compile(optimizer, "mse", metrics=["mae"], jit_compile=False)
    return model


class Numbers(keras.utils.PyDataset):
    """Ten batches, a function of epoch and index; some may hold what is not finite."""

    def __init__(self, broken=()):
        super().__init__()
        self.epoch, self.broken = 0, broken

    def __len__(self):
        return 10

    def __getitem__(self, index):
        random = np.random.default_rng([self.epoch, index])
        x = random.random((4, 3), "float32")
        if (self.epoch, index) in self.broken:
            x = x * np.nan
        return x, x[:, :2]


def fit(model, numbers, *callbacks, epochs=3):
    return model.fit(
        numbers, epochs=epochs, verbose=0, callbacks=list(callbacks), shuffle=True
    )


@pytest.mark.parametrize("ema", [False, True])
def test_stopped_inside_an_epoch_and_gone_on(tmp_path, ema):
    options = {"use_ema": ema, "ema_momentum": 0.9}
    whole = compiled(**options)
    numbers = Numbers()
    wanted = fit(whole, numbers, training.Resume(tmp_path / "whole", numbers, 3))
    for batches in (4, 13, 1):
        numbers = Numbers()
        keeper = training.Resume(tmp_path / "parts", numbers, every=3)
        with pytest.raises(KeyboardInterrupt):
            fit(compiled(**options), numbers, Stop(batches), keeper)
    numbers = Numbers()
    last = compiled(**options)
    keeper = training.Resume(tmp_path / "parts", numbers, every=3)
    found = fit(last, numbers, keeper)
    for a, b in zip(last.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # The log too, also of the epoch that was broken off.
    for name in ("loss", "mae"):
        np.testing.assert_array_equal(
            found.history[name], wanted.history[name][-len(found.epoch) :]
        )
    assert found.epoch[-1] == 2 and found.epoch[0] == 1
    # A finished run that is started again ends with the same weights.
    again = compiled(**options)
    fit(again, Numbers(), training.Resume(tmp_path / "parts", numbers, every=3))
    for a, b in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_step_of_an_older_epoch_is_not_taken(tmp_path):
    numbers = Numbers()
    fit(compiled(), numbers, training.Resume(tmp_path, numbers, 4), epochs=1)
    kept = (tmp_path / "resume.weights.h5").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(), numbers, Stop(5), training.Resume(tmp_path, numbers, 4))
    step = (tmp_path / "resume_step.weights.h5").read_bytes()
    fit(compiled(), numbers, training.Resume(tmp_path, numbers, 4), epochs=2)
    # As if the kill had come between the epoch's save and the removal.
    (tmp_path / "resume_step.weights.h5").write_bytes(step)
    assert (tmp_path / "resume.weights.h5").read_bytes() != kept
    model = compiled()
    assert fit(model, numbers, training.Resume(tmp_path, numbers, 4)).epoch == [2]


def test_every_is_checked(tmp_path):
    with pytest.raises(ValueError, match=r"every.*Received: 0"):
        training.Resume(tmp_path, every=0)


@pytest.mark.parametrize("schedule", [False, True])
def test_the_guard_goes_back_and_slows_down(tmp_path, schedule):
    rate = 1e-2
    if schedule:
        rate = keras.optimizers.schedules.CosineDecay(1e-2, 100)
    model, numbers = compiled(rate), Numbers(broken={(1, 2)})
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(
            (model.get_weights(), int(model.optimizer.iterations))
        )
    )
    guard = training.NonFiniteGuard(every=3)
    keeper = training.Resume(tmp_path, numbers)
    random_order = {"shuffle": False, "verbose": 0, "epochs": 2}
    with pytest.warns(UserWarning, match="Epoch 2, batch 3: the loss is nan.*rate is"):
        history = model.fit(numbers, callbacks=[guard, watch, keeper], **random_order)
    assert guard.returns == 1 and np.isfinite(history.history["loss"]).all()
    # Copies after 3, 6, 9 and 12 batches: number 13 breaks, and number 12 is back.
    assert [n for _, n in seen[:13]] == [*range(1, 13), 12]
    for a, b in zip(seen[11][0], seen[12][0], strict=True):
        np.testing.assert_array_equal(a, b)
    # The epoch's mean is that of its nine good batches' losses.
    numbers.epoch = 1
    truth = []
    for i, (weights, _) in enumerate(seen[9:-1]):
        if i != 2:
            model.set_weights(weights)
            truth.append(np.mean((model(numbers[i][0]) - numbers[i][1]) ** 2))
    assert history.history["loss"][1] == pytest.approx(np.mean(truth), rel=1e-5)
    lowered = 0.5e-2
    if schedule:
        lowered = 0.5 * float(rate(model.optimizer.iterations))
    assert float(model.optimizer.learning_rate) == pytest.approx(lowered, rel=1e-6)
    # A resumed run has the lowered rate.
    other = compiled(rate)
    fit(other, Numbers(), training.Resume(tmp_path), epochs=2)
    assert float(other.optimizer.learning_rate) == pytest.approx(lowered, rel=1e-6)
    before = [w.numpy() for w in other.trainable_variables]
    other.train_on_batch(*numbers[0])
    assert any(
        np.any(a != b.numpy())
        for a, b in zip(before, other.trainable_variables, strict=True)
    )


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path):
    model, numbers = compiled(), Numbers()

    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 9:
                self.model.layers[0].bias.assign([np.inf, 0.0])

    guard = training.NonFiniteGuard(every=2)
    with pytest.warns(UserWarning, match="a weight is not finite"):
        fit(model, numbers, Break(), guard, training.Resume(tmp_path), epochs=1)
    arrays = arrays_in(tmp_path / "resume.weights.h5")
    assert all(np.isfinite(a).all() for a in arrays.values())


def test_the_guard_gives_up():
    numbers = Numbers(broken={(0, i) for i in range(10)})
    model = compiled()
    guard = training.NonFiniteGuard(every=1, limit=3)
    before = model.get_weights()
    numbers.epoch = -1  # Keras' look at a batch ends an epoch.
    numbers.broken = {(e, i) for e in (-1, 0) for i in range(10)}
    with (
        warnings.catch_warnings(),
        pytest.raises(FloatingPointError, match=r"4th time.*lower rate"),
    ):
        warnings.simplefilter("ignore")
        numbers.on_epoch_end = lambda: None
        numbers.epoch = 0
        fit(model, numbers, guard)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "words", [{"every": 0}, {"factor": 1.0}, {"factor": 0}, {"limit": 1.5}]
)
def test_the_guards_arguments(words):
    with pytest.raises(ValueError, match="Received"):
        training.NonFiniteGuard(**words)


def test_a_lowered_schedule_is_saved_with_its_model():
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 100)
    rate = LoweredRate(schedule, 0.25)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(rate)
    )
    assert float(copy(10)) == float(schedule(10)) / 4


def test_a_full_disk_loses_nothing(tmp_path):
    """No file of this process may grow past 8 kB: what a full disk does to a write."""
    model, numbers = compiled(), Numbers()
    fit(model, numbers, training.Resume(tmp_path, numbers), epochs=1)
    before = (tmp_path / "resume.weights.h5").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(
            OSError, match=r"could not be written, it is as it was.*same"
        ):
            fit(model, numbers, training.Resume(tmp_path, numbers), epochs=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["resume.weights.h5"]
    assert (tmp_path / "resume.weights.h5").read_bytes() == before
    # With room again the same command goes on.
    again = compiled()
    found = fit(again, numbers, training.Resume(tmp_path, numbers), epochs=2)
    assert found.epoch == [1]


def test_what_fails_while_it_is_written(tmp_path):
    path = tmp_path / "a.txt"
    for error in (OSError(28, "No space left on device"), RuntimeError("HDF5")):
        with pytest.raises(OSError, match="there was none before"), replaced(path) as p:
            p.write_text("half")
            raise error
    assert not list(tmp_path.iterdir())


def test_two_runs_in_one_folder(tmp_path):
    first = training.RunFolder(tmp_path, {"steps": 3})
    with pytest.raises(ValueError, match=rf"Another run.*process {os.getpid()}"):
        training.RunFolder(tmp_path, {"steps": 3})
    first.close()
    with training.RunFolder(tmp_path, {"steps": 3}):
        pass
    # A crash lets the folder go. (Another run's lock, without its seconds of imports.)
    code = (
        "import fcntl, os, sys, time\nfile = open(sys.argv[1], 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\nprint(os.getpid(), file=file, flush=True)\n"
        "print('on', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "on\n"
    with pytest.raises(ValueError, match=f"process {process.pid}"):
        training.RunFolder(tmp_path)
    process.kill()
    process.wait()
    process.stdout.close()
    with training.RunFolder(tmp_path, {"steps": 3}) as run:
        assert len(json.loads((run.path / "run.json").read_text())["starts"]) == 3


def test_what_a_run_folder_holds(tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    script = checkout / "recipe.py"
    script.write_text("print(1)\n")
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    arguments = {"data": Path("clips"), "steps": 3}
    with training.RunFolder(tmp_path / "run", arguments, 7, script) as run:
        (first,) = json.loads((run.path / "run.json").read_text())["starts"]
    assert first["arguments"] == {"data": "clips", "steps": 3} and first["seed"] == 7
    assert first["git"] == {"commit": commit, "changed": False}
    assert first["packages"]["keras"] == keras.__version__
    assert first["packages"]["numpy"] == np.__version__
    assert first["processors"] == os.cpu_count() and first["command"][1:] == sys.argv
    assert (tmp_path / "run" / "recipe.py").read_text() == "print(1)\n"
    script.write_text("print(2)\n")
    with (
        pytest.warns(UserWarning, match="another arguments: .*3.*Now: .*4"),
        pytest.warns(UserWarning, match="another script_sha256"),
        training.RunFolder(tmp_path / "run", {**arguments, "steps": 4}, 7, script),
    ):
        pass
    starts = json.loads((tmp_path / "run" / "run.json").read_text())["starts"]
    assert starts[0] == first and starts[1]["git"]["changed"]
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(ValueError, match="not the record of a run"):
        training.RunFolder(tmp_path / "run")
    # ... and is not held after that.
    (tmp_path / "run" / "run.json").unlink()
    training.RunFolder(tmp_path / "run").close()


def test_the_callbacks_of_a_run(tmp_path):
    model, numbers = compiled(), Numbers()
    with training.RunFolder(tmp_path, script="") as run:
        fit(model, numbers, *run.callbacks(numbers, every=4), epochs=2)
        names = {path.name for path in run.path.iterdir()}
        wanted = {"lock", "run.json", "log.csv", "log.png", "resume.weights.h5"}
        assert names == wanted
        with Image.open(run.path / "log.png") as picture:
            assert picture.width == 600 and picture.height == 520
            assert np.asarray(picture.convert("L")).std() > 10
        again = compiled()
        found = fit(again, numbers, *run.callbacks(numbers, every=4), epochs=3)
    assert found.epoch == [2]
    curves = read(tmp_path / "log.csv")
    assert set(curves) == {"loss", "mae"} and set(curves["loss"]) == {0, 1, 2}
    assert curves["loss"][2] == pytest.approx(found.history["loss"][0])


def test_a_log_with_marks_of_kills(tmp_path):
    text = "epoch,loss,val_loss,rate\n0,3,4,1\n1,2,3,1\n1,1.5,2.5,1\n2,nan,2"
    (tmp_path / "log.csv").write_text(text + "\nepoch,loss\n3,NA,1\n")
    curves = read(tmp_path / "log.csv")
    assert curves["loss"][1] == 1.5 and set(curves["loss"]) == {0, 1, 2}
    assert curves["val_loss"] == {0: 4, 1: 2.5, 2: 2, 3: 1}
    draw(curves, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        # Losses share a panel; the rate has another.
        assert picture.height == 520
