"""Recipe: what the zoo's training scripts share.

Tested: a short run in a process of its own, its files, that it goes on where it was
stopped and ends as the unbroken one, bit for bit, and that another run starts from its
folded weights; the schedule against NumPy; how often recordings, videos and
photographs are drawn; weights of a model and of its folded twin; parts; the run
folder's name; wrong arguments.
Not tested: what a recipe reaches (the zoo's cards).
"""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from stablevid_tf import models
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import CameraPath
from stablevid_tf.training import Recipe
from stablevid_tf.training.recipe import _Shifted, start

PROGRAM = """
import json
import sys

from stablevid_tf import models
from stablevid_tf.constraints import SRNC
from stablevid_tf.training import Recipe, recipe

# Epochs of two steps, a warm-up of four.
recipe._EPOCH, recipe._WARM_UP = 2, 4

for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    given = Recipe("Trains a tiny denoiser.", steps=8, rate=1e-2, batch=2)
    held = SRNC(1.0, 0.5, where="body", frame_size=8)
    model = models.build("vdncnn_feat", features=4, depth=1, constraint=held)
    given.fit(model, given.clips(frames=2, size=8, sigma=30))
    given.run.close()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three videos, two of one recording, and two photographs."""
    folder = tmp_path_factory.mktemp("source")
    random = np.random.default_rng(0)
    for name in ("street_0", "street_1", "lake"):
        (folder / "videos" / name).mkdir(parents=True)
        for t in range(3):
            image = random.integers(0, 256, (12, 14, 3), "uint8")
            Image.fromarray(image).save(folder / "videos" / name / f"{t}.png")
    (folder / "photos").mkdir()
    for i in range(2):
        image = random.integers(0, 256, (150, 160, 3), "uint8")
        Image.fromarray(image).save(folder / "photos" / f"{i}.png")
    return folder


def recipe(monkeypatch, tmp_path, *words, doc="Trains a model.\n\nMore.", **options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/some/zoo/mine/train.py", *map(str, words)])
    return Recipe(doc, **{"steps": 1000} | options)


def weights_of(path):
    model = models.build("vdncnn_feat", features=4, depth=1)
    model.load_weights(path)
    return model.get_weights()


def test_a_run_that_is_stopped_and_one_that_starts_from_it(source, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    data = ["--data", str(source / "videos"), "--photos", str(source / "photos")]
    data += ["--cache", "cache", "--run"]
    folded = "whole/model.weights.h5"
    runs = [
        [*data, "whole"],
        [*data, "parts", "--stop-at", "4"],
        [*data, "parts"],
        [*data, "again", "--weights", folded, "--first-step", "4", "--batch", "1"],
    ]
    done = subprocess.run(
        [sys.executable, "program.py", json.dumps(runs)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "parts holds a run with another arguments" in done.stderr
    files = {"run.json", "log.csv", "averaged.weights.h5", "model.weights.h5"}
    for name, epochs in (("whole", 4), ("parts", 4), ("again", 2)):
        folder = tmp_path / name
        assert {path.name for path in folder.iterdir()} >= files
        log = (folder / "log.csv").read_text().splitlines()
        assert len(log) == 1 + epochs and log[0].startswith("epoch,loss,psnr_last")
    first, *_ = json.loads((tmp_path / "whole" / "run.json").read_text())["starts"]
    assert first["arguments"]["steps"] == 8 and first["seed"] == 0
    # The folded weights are plain ones.
    whole, parts, again = (
        weights_of(tmp_path / name / "model.weights.h5")
        for name in ("whole", "parts", "again")
    )
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
    # Four steps of at most 1e-2 from where the first run ended, not from its start.
    apart = max(np.abs(a - b).max() for a, b in zip(whole, again, strict=True))
    assert 0 < apart < 0.06
    assert np.isfinite(np.concatenate([w.ravel() for w in again])).all()


@pytest.mark.parametrize("steps, warm_up", [(1000, 200), (200, 100)])
@pytest.mark.parametrize("first", [0, 100])
def test_the_schedule(monkeypatch, tmp_path, steps, warm_up, first):
    words = ["--data", "x", "--steps", steps, "--first-step", first]
    given = recipe(monkeypatch, tmp_path, *words, rate=0.5)
    rates = []

    class Model(keras.Model):
        def fit(self, *_, **__):
            rate = self.optimizer._learning_rate
            rates.extend(float(rate(step)) for step in range(0, steps - first, 25))
            raise KeyboardInterrupt

    model = Model()
    with pytest.raises(KeyboardInterrupt):
        given.fit(model, None, metrics=[])
    wanted = []
    for step in range(0, steps - first, 25):
        at = step + first
        if at < warm_up:
            rate = 0.5 * at / warm_up
        else:
            wave = (1 + np.cos(np.pi * (at - warm_up) / (steps - warm_up))) / 2
            rate = 0.5 * (0.99 * wave + 0.01)
        wanted.append(rate * min(1, step / 200) if first else rate)
    np.testing.assert_allclose(rates, wanted, rtol=1e-5, atol=1e-8)
    assert model.optimizer.use_ema and max(wanted) > 0.05
    given.run.close()


def test_a_shifted_schedule_is_saved_with_its_optimiser():
    rate = _Shifted(keras.optimizers.schedules.CosineDecay(1.0, 100), 50)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(rate)
    )
    assert float(copy(7)) == float(rate(7)) > 0


def test_how_often_recordings_and_photographs_are_drawn(source, monkeypatch, tmp_path):
    words = ["--data", source / "videos"]
    given = recipe(monkeypatch, tmp_path, *words, mix=(0.5, 0.3, 0.2))
    clips = given.clips(frames=2, size=8)
    (videos,) = clips.datasets
    # lake, street_0, street_1: two recordings.
    np.testing.assert_allclose(videos._share, [0.5, 0.25, 0.25])
    assert (len(clips), clips.batch_size, clips.seed) == (100, 4, 0)
    given.run.close()
    words += ["--photos", source / "photos", "--first-step", 300, "--batch", 3]
    given = recipe(
        monkeypatch, tmp_path, *words, mix=(0.5, 0.3, 0.2), shares={"street": 3}
    )
    clips = given.clips(frames=2, size=8, workers=2, degrade=lambda clip, _: clip / 2)
    videos, moving, still = clips.datasets
    np.testing.assert_allclose(videos._share, [0.25, 0.375, 0.375])
    np.testing.assert_allclose(clips.share, [0.5, 0.3, 0.2])
    assert isinstance(moving.motion, CameraPath) and still.motion == 0
    assert (clips.batch_size, clips.seed, clips.workers) == (3, 300, 2)
    half, clean = clips[0]
    assert half.shape == (3, 2, 8, 8, 3)
    np.testing.assert_array_equal(half, clean / 2)
    given.run.close()


def test_weights_to_start_from(tmp_path):
    arguments = {"features": 4, "blocks": 1}
    held = SRNC(1.0, 0.5, where="body", frame_size=8)
    model = models.build("vresnet_feat", constraint=held, **arguments)
    model.save_weights(tmp_path / "own.weights.h5")
    model.fold().save_weights(tmp_path / "folded.weights.h5")
    frames = np.random.default_rng(0).random((1, 2, 8, 8, 3), "float32")
    for name in ("own", "folded"):
        other = models.build("vresnet_feat", constraint=held, **arguments)
        assert np.abs(other(frames) - model(frames)).max() > 1e-3
        start(other, tmp_path / f"{name}.weights.h5")
        # A fold's norms are certified, a new model's are estimates.
        wanted = model.fold() if name == "folded" else model
        np.testing.assert_allclose(other(frames), wanted(frames), atol=1e-5)
    wide = models.build("vresnet_feat", features=8, blocks=1)
    with pytest.raises(ValueError, match="expected"):
        start(wide, tmp_path / "folded.weights.h5")
    # What a file lacks altogether Keras passes over.
    # What a file lacks altogether Keras passes over.
    small, large = (
        models.build("memory_unet", features=(4,) * n, blocks=(1,) * n) for n in (1, 2)
    )
    small.save_weights(tmp_path / "small.weights.h5")
    with pytest.raises(ValueError, match=r"small.*another architecture.*decoders"):
        start(large, tmp_path / "small.weights.h5")


PARTS = {
    "frames": {"steps": 600, "batch": 16},
    "clips": {"steps": 1000, "rate": 1e-3},
}


def test_parts(monkeypatch, tmp_path, capsys):
    given = recipe(monkeypatch, tmp_path, "--data", "x", parts=PARTS)
    assert (given.part, given.last, given.rate) == ("frames", 600, 3e-3)
    assert (given.args.batch, given.args.weights) == (16, None)
    assert given.args.run == "runs/mine/frames"
    given.run.close()
    words = ["--data", "x", "--part", "clips"]
    with pytest.raises(SystemExit, match="2"):
        recipe(monkeypatch, tmp_path, *words, parts=PARTS)
    before = "runs/mine/frames/averaged.weights.h5"
    said = capsys.readouterr().err
    assert before in said and "train --part frames first, or give --weights" in said
    (tmp_path / before).touch()
    given = recipe(monkeypatch, tmp_path, *words, "--batch", 2, parts=PARTS)
    assert (given.part, given.last, given.rate) == ("clips", 1000, 1e-3)
    assert (given.args.batch, given.args.weights) == (2, before)
    assert given.args.run == "runs/mine/clips"
    given.run.close()
    # A batch of 0 is left to the clips, which refuse it.
    given = recipe(monkeypatch, tmp_path, *words[:2], "--batch", 0, parts=PARTS)
    assert given.args.batch == 0
    given.run.close()
    words += ["--weights", "own.weights.h5", "--run", "own"]
    given = recipe(monkeypatch, tmp_path, *words, parts=PARTS)
    assert (given.args.batch, given.args.weights) == (4, "own.weights.h5")
    assert given.args.run == "own/clips"
    given.run.close()
    with pytest.raises(SystemExit, match="0"):
        recipe(monkeypatch, tmp_path, "--help", parts=PARTS)
    assert "600 frames, 1000 clips" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        recipe(monkeypatch, tmp_path, "--data", "x", "--part", "b", parts=PARTS)
    assert "choose from" in capsys.readouterr().err


def test_the_run_folder_and_the_help(monkeypatch, tmp_path, capsys):
    given = recipe(monkeypatch, tmp_path, "--data", "x")
    assert given.args.run == "runs/mine" and (tmp_path / "runs" / "mine").is_dir()
    assert given.args.steps == given.last == 1000
    given.run.close()
    monkeypatch.setattr(sys, "argv", ["examples/own.py", "--data", "x", "y"])
    given = Recipe("Trains.", steps=400)
    assert given.args.run == "runs/own" and given.args.data == ["x", "y"]
    given.run.close()
    with pytest.raises(SystemExit, match="0"):
        recipe(monkeypatch, tmp_path, "--help")
    shown = capsys.readouterr().out
    assert "Trains a model." in shown and "More." not in shown
    assert "runs/mine" in shown


@pytest.mark.parametrize(
    "words, said",
    [
        (["--steps", 0], "--steps: a multiple of 100 from 200 on, not 0"),
        (["--steps", 100], "from 200 on, not 100"),
        (["--steps", 250], "from 200 on, not 250"),
        (["--steps", "many"], "invalid int value"),
        (["--first-step", 50], "--first-step and --stop-at: multiples of 100"),
        (["--stop-at", 350], "--first-step and --stop-at: multiples of 100"),
        (["--first-step", 1000], "0 <= --first-step < --stop-at <= --steps"),
        (["--first-step", -100], "0 <= --first-step"),
        (["--stop-at", 1100], "--stop-at <= --steps"),
        (["--stop-at", 300, "--first-step", 300], "--first-step < --stop-at"),
    ],
)
def test_wrong_arguments(monkeypatch, tmp_path, capsys, words, said):
    with pytest.raises(SystemExit, match="2"):
        recipe(monkeypatch, tmp_path, "--data", "x", *words)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_data_is_required(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        recipe(monkeypatch, tmp_path)
    assert "--data" in capsys.readouterr().err
