"""Every example, run as a user would, on small made-up input.

Tested: what each writes (frame counts, pictures), that training lowers the loss, that
constrained kernels hold their norms, that errors are one line, and that README.md
lists every example.
Not tested: quality of the restored frames on real video (the zoo's cards).
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from stablevid_tf import models, numerics
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import ImageWriter, open_video

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def example(name):
    """The example as a module; its `main` takes the command line's words."""
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_clip(folder, frames, height, width, seed):
    """Smooth blobs that drift by half a pixel a frame, as PNG files."""
    rows, columns = np.mgrid[:height, :width] / 16
    phase = np.random.default_rng(seed).uniform(0, 6, (3, 2))
    with ImageWriter(folder) as out:
        for t in range(frames):
            waves = [np.sin(rows + p + t / 32) * np.cos(columns + q) for p, q in phase]
            out.write(np.stack(waves, axis=-1) / 2 + 0.5, t)


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed in range(2):
        write_clip(folder / f"clip{seed}", 10, 40, 48, seed)
    return folder


@pytest.fixture
def model(tmp_path):
    """A model file whose frames come out as they go in."""
    small = models.build("vresnet_feat", features=4, blocks=1)
    small.cell.tail.kernel.assign(np.zeros((3, 3, 4, 3)))
    path = tmp_path / "stand_in.keras"
    small.save(path)
    return str(path)


def count(path):
    with open_video(path) as video:
        return len([frame.image for frame in video])


def shape(path):
    return np.asarray(Image.open(path).convert("RGB")).shape


def test_readme_lists_every_example():
    text = (ROOT / "examples" / "README.md").read_text()
    assert [name for name in NAMES if f"({name}.py)" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        example(name).main(["--help"])
    assert stopped.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_demo_on_photographs(tmp_path, model, capsys):
    out = tmp_path / "demo"
    example("demo").main(["--model", model, "--frames", "4", "--out", str(out)])
    assert count(out / "noisy.mp4") == count(out / "restored.mp4") == 4
    with open_video(out / "restored.mp4") as video:
        assert (video.info.width, video.info.height) == (416, 240)
    height, width, _ = shape(out / "comparison.png")
    assert width == 1500 and height > 500
    assert shape(out / "psnr.png")[2] == 3
    said = capsys.readouterr().out
    assert "PSNR, mean of 4 frames: noisy 1" in said and "frames per second" in said
    # The stand-in changes nothing, so nothing may be gained.
    line = next(x for x in said.splitlines() if x.startswith("PSNR, last"))
    noisy, restored = (float(part.split()[-2]) for part in line.split(",")[1:])
    assert noisy == pytest.approx(restored, abs=0.011)


def test_demo_gain_with_an_entry_of_the_zoo(tmp_path, capsys):
    words = ["--model", "tiny", "--frames", "3", "--out", str(tmp_path)]
    example("demo").main(words)
    line = next(
        x for x in capsys.readouterr().out.splitlines() if x.startswith("PSNR, mean")
    )
    noisy, restored = (float(part.split()[-2]) for part in line.split(",")[1:])
    assert 18 < noisy < 20.5 and restored > noisy + 6


def test_demo_on_a_video_with_other_noise(tmp_path, clips, model, capsys):
    words = ["--video", str(clips / "clip0"), "--noise", "10", "--model", model]
    example("demo").main([*words, "--frames", "5", "--out", str(tmp_path / "demo")])
    assert count(tmp_path / "demo" / "restored.mp4") == 5
    # Sigma 10/255 is 28.1 dB before clipping.
    assert "noisy 28." in capsys.readouterr().out


def test_demo_takes_a_model_for_the_noise(tmp_path, clips, capsys):
    words = ["--video", str(clips / "clip0"), "--frames", "2", "--out", str(tmp_path)]
    example("demo").main([*words, "--noise", "10"])
    said = capsys.readouterr().out
    assert "model denoise_realtime" in said and "is told" not in said
    told = [*words, "--model", "vresnet_feat_srnc_map"]
    example("demo").main([*told, "--noise", "10"])
    assert "the model is told 10.0" in capsys.readouterr().out
    example("demo").main([*told, "--noise", "0"])
    assert "of 255 (measured); the model is told" in capsys.readouterr().out
    example("demo").main([*words, "--noise", "10", "--model", "tiny"])
    said = capsys.readouterr()
    assert "model tiny" in said.out and "trained for 30: it will blur" in said.err


def test_demo_without_noise(tmp_path, clips, model, capsys):
    words = ["--video", str(clips / "clip1"), "--noise", "0", "--model", model]
    example("demo").main([*words, "--out", str(tmp_path / "demo")])
    made = sorted(path.name for path in (tmp_path / "demo").iterdir())
    assert made == ["comparison.png", "restored.mp4"]
    assert count(tmp_path / "demo" / "restored.mp4") == 10
    assert shape(tmp_path / "demo" / "comparison.png")[1] == 1000
    assert "PSNR" not in capsys.readouterr().out


def test_demo_says_errors_in_one_line(tmp_path):
    """As a script, in a process of its own."""
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--video", "missing.mp4"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("demo: ") and "missing.mp4" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_demo_leaves_nothing_for_an_unknown_model(tmp_path, clips):
    words = ["--video", str(clips / "clip0"), "--out", str(tmp_path / "demo")]
    with pytest.raises(SystemExit, match=r"demo: .*tini.*tiny"):
        example("demo").main([*words, "--model", "tini"])
    assert not (tmp_path / "demo").exists()


def test_restore_video(tmp_path, clips):
    target = tmp_path / "out.mp4"
    words = [str(clips / "clip0"), str(target), "--model", "tiny"]
    example("restore_video").main(words)
    assert count(target) == 10


def test_train_on_folder(tmp_path, clips, capsys):
    run = tmp_path / "run"
    words = [str(clips), "--run", str(run), "--features", "4", "--size", "16"]
    example("train_on_folder").main([*words, "--steps", "5", "--epochs", "2"])
    said = capsys.readouterr().out
    losses = [float(x.split("loss: ")[1].split()[0]) for x in said.split("\n")[1::2]]
    assert len(losses) == 2 and losses[1] < losses[0]
    names = {path.name for path in run.iterdir()}
    assert names >= {"resume.weights.h5", "logs", "model.keras", "folded.keras"}
    assert any(run.glob("logs/train/events*"))
    # The same command goes on from what is there: nothing is left to do.
    example("train_on_folder").main([*words, "--steps", "5", "--epochs", "2"])
    assert "loss" not in capsys.readouterr().out
    folded = keras.saving.load_model(run / "folded.keras")
    for kernel in (w for w in folded.weights if w.name == "kernel"):
        assert numerics.conv_norm(kernel, 16) <= 2.0


def test_train_tfds(tmp_path, clips, capsys):
    built, run = tmp_path / "datasets", tmp_path / "run"
    words = [str(clips), "--data-dir", str(built), "--run", str(run)]
    words += ["--features", "4", "--size", "16", "--frames", "3", "--epochs", "2"]
    example("train_tfds").main([*words, "--steps", "5"])
    said = capsys.readouterr().out
    losses = [x.split("loss: ")[1].split()[0] for x in said.split("\n") if "loss" in x]
    assert len(losses) == 2 and float(losses[1]) < float(losses[0])
    assert (built / "video_folder" / "1.0.0" / "dataset_info.json").is_file()
    assert {path.name for path in run.iterdir()} >= {"model.keras", "folded.keras"}


def test_bptt(tmp_path, clips, capsys):
    write_clip(tmp_path / "test", 6, 40, 48, seed=9)
    words = [str(clips), "--test", str(tmp_path / "test"), "--features", "4"]
    words += ["--size", "16", "--frames", "3", "--length", "6", "--reuse", "2"]
    words += ["--epochs", "1", "--test-size", "32", "--test-frames", "9"]
    found = example("bptt").main([*words, "--out", str(tmp_path / "bptt.png")])
    said = capsys.readouterr().out
    assert "'states': 4" in said and "still, random: " in said
    assert len(found) == 4
    for quality in found.values():
        # Bicubic enlargement of smooth blobs is never far off.
        assert len(quality) == 9 and np.all(quality > 15)
    assert shape(tmp_path / "bptt.png")[1] == 960


def test_constrain_own_model(clips, capsys):
    module = example("constrain_own_model")
    words = [str(clips), "--features", "8", "--epochs", "3"]
    free, held, folded, projected = module.main(words)
    assert max(module.norms(free)) > 1.01
    assert max(module.norms(folded)) <= 1
    assert max(module.norms(projected)) < 1.1
    assert {type(layer).__module__.split(".")[0] for layer in folded.layers} <= {
        "keras"
    }
    x = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
    assert np.abs(folded(x) - held(x)).max() < 0.02
    for model in (free, held, projected):
        loss = model.history.history["loss"]
        assert loss[-1] < loss[0]


def test_new_cell(clips, capsys):
    words = [str(clips), "--steps", "12", "--size", "16"]
    module = example("new_cell")
    history, folded = module.main(words)
    said = capsys.readouterr().out
    assert "7 frames restored" in said
    kernel = folded.cell.memory.kernel
    assert numerics.conv_norm_bound(kernel) <= 0.95
    assert np.isfinite(history.history["loss"][0])
    # The gain bound, seen: two memories come closer at every step.
    cell, frame = folded.cell, np.zeros((1, 16, 16, 3), "float32")
    random = np.random.default_rng(0)
    a, b = (random.random((1, 16, 16, 32), "float32") for _ in range(2))
    after = [np.asarray(cell(frame, (m,))[1][0]) for m in (a, b)]
    assert np.linalg.norm(after[0] - after[1]) <= 0.95 * np.linalg.norm(a - b)
    rebuilt = type(folded).from_config(folded.get_config())
    assert rebuilt.cell.features == 32


def test_constraint_of_new_cell_is_needed():
    """A kernel of gain 3 is held at 0.95 by the example's declaration of its loop."""
    module = example("new_cell")
    rule = SRNC(alpha=0.95, where="loop", frame_size=16)
    model = models.RecurrentRestorer(module.GatedCell(features=4, constraint=rule))
    model.build()
    kernel = np.zeros((3, 3, 4, 4), "float32")
    kernel[1, 1] = 3 * np.eye(4)
    model.cell.memory.kernel.assign(kernel)
    held = np.asarray(model.fold().cell.memory.kernel)
    np.testing.assert_allclose(held, kernel * 0.95 / 3, rtol=0.01)


def test_long_still(tmp_path, capsys):
    pytest.importorskip("skimage", reason="needs the extra demo")
    picture = tmp_path / "still.png"
    example("long_still").main([str(picture), "--frames", "8", "--size", "48"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    # What goes wrong comes later than the eighth frame.
    assert all(float(line.split("lowest ")[1].split()[0]) > 35 for line in lines)
    assert shape(picture)[:2] == (440, 1000)


def test_figure_2_of_the_paper(tmp_path):
    script = ROOT / "examples" / "paper" / "figure_2.py"
    words = ["--features", "64", "--frames", "16", "--out", tmp_path / "figure_2.png"]
    done = subprocess.run(
        [sys.executable, script, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    growth = [
        float(line.split(" x")[1].split()[0]) for line in done.stdout.splitlines()
    ]
    # Feedforward ones stand still, recurrent ones grow.
    assert all(abs(g - 1) < 0.05 for g in growth[:3])
    assert all(g > 1.2 for g in growth[3:])
    with Image.open(tmp_path / "figure_2.png") as picture:
        assert picture.width > 500
