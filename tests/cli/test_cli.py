"""Tested: what a person sees and gets, success and failure, in one line each. Not
tested: the restoration itself, see tests/streaming."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from stablevid_tf.cli.main import main
from stablevid_tf.cli.restore import options
from stablevid_tf.data.images_writer import ImageWriter
from stablevid_tf.data.video import open_video


class Same:
    """A model that gives back what it is given."""

    latency, scale, channels = 0, 1, 3

    def initial_state(self, frame):
        return ()

    def step(self, frame, state):
        return frame, state


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ImageWriter("in") as out:
        for t in range(4):
            out.write(np.full((24, 32, 3), 40 * t, np.uint8), t)
    return tmp_path


@pytest.fixture
def same(monkeypatch):
    monkeypatch.setattr("stablevid_tf.cli.load_model.load_model", lambda name: Same())


def test_help_is_quick_and_loads_neither_keras_nor_tensorflow(tmp_path):
    code = (
        "import sys; from stablevid_tf.cli.main import main\n"
        "for words in ('', 'restore', 'diagnose', 'evaluate', 'zoo', 'data'):\n"
        "    assert main([*words.split(), '--help']) == 0\n"
        "assert not {'keras', 'tensorflow', 'av', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stablevid restore IN OUT [--task TASK | --model NAME]" in done.stdout
    for option in ("--crf", "--[no]lossless", "--[no]overwrite", "--model",
                   "--look-ahead", "--tile", "--overlap", "--manual-dir",
                   "--lpips-weights", "--task", "--precision",
                   "--strength"):  # fmt: skip
        assert option in done.stdout
    assert "Constant rate factor, 0 (best) to 51. Default: 18" in done.stdout
    # One style: dashes.
    assert not re.search(r"--[a-z0-9]+_", done.stdout)


def test_restores_a_folder_into_a_video(folder, same, capsys):
    assert main(["restore", "in", "out.mkv", "--model=x", "--lossless"]) == 0
    shown = capsys.readouterr()
    assert "out.mkv: 4 frames" in shown.out
    assert "frames/s" in shown.err
    with open_video("out.mkv") as video:
        assert [int(f.image.mean()) for f in video] == [0, 40, 80, 120]


def test_the_default_model_is_the_zoos_for_the_task(folder, same, capsys, monkeypatch):
    from stablevid_tf import zoo

    asked = []
    monkeypatch.setattr(zoo, "default", lambda task: asked.append(task) or "best")
    for words in ("", "--task denoise", "--task upscale"):
        assert main(f"restore in out.mp4 --overwrite {words}".split()) == 0
        assert "model: best, the default for" in capsys.readouterr().out
    assert asked == ["denoising", "denoising", "super-resolution"]


def test_the_default_restores(folder, capsys):
    assert main(["restore", "in", "out.mp4"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"model: \w+, the default for denoising", said)
    assert "out.mp4: 4 frames" in said


def test_a_noise_level_takes_a_model_that_is_told_it(folder, capsys):
    assert main(["restore", "in", "out.mp4", "--sigma", "20"]) == 0
    said = capsys.readouterr().out
    assert "vresnet_feat_srnc_map, the default if --sigma is given" in said
    assert "noise: 20.0 of 255 (given)" in said and "out.mp4: 4 frames" in said


def test_a_task_without_a_default_names_its_models(folder, capsys):
    assert main(["restore", "in", "out.mp4", "--task", "deblur"]) == 1
    shown = capsys.readouterr().err
    assert "no default model for --task deblur. Choose one" in shown
    assert shown.count("\n") == 1


@pytest.mark.filterwarnings("default::UserWarning")
def test_task_and_model_in_conflict(folder, same, capsys):
    words = "restore in out.mp4 --model tiny --task"
    assert main([*words.split(), "upscale"]) == 2
    shown = capsys.readouterr().err
    assert "--task upscale and --model tiny are in conflict" in shown
    assert "for denoising. Leave one of the two out" in shown
    assert not (folder / "out.mp4").exists()
    assert main([*words.split(), "denoise"]) == 0


def test_options_may_stand_anywhere(folder, same):
    words = "restore --crf 3 in --model x out.mp4 --rate 30 --overwrite"
    assert main(words.split()) == 0
    with open_video("out.mp4") as video:
        assert video.info.rate == 30


@pytest.mark.parametrize(
    "word, expected",
    [
        ("--look_ahead", "--look-ahead"),
        ("--look_ahead=3", "--look-ahead=3"),
        ("--look-ahead", "--look-ahead"),
        ("--no-lossless", "--nolossless"),
        ("--nolossless", "--nolossless"),
        ("--model=my_own.keras", "--model=my_own.keras"),
        ("--lok_ahead", "--lok_ahead"),
        ("--no-look-ahead", "--no-look-ahead"),
        ("my_look_ahead", "my_look_ahead"),
        ("-1", "-1"),
    ],
)
def test_dashes_and_underscores_are_one(word, expected):
    from stablevid_tf.cli.main import _spelled

    assert _spelled(["restore", word], options()) == ["restore", expected]
    assert _spelled(["restore", "--", word], options()) == ["restore", "--", word]


@pytest.fixture
def small(monkeypatch):
    """A small network in place of whatever is loaded."""
    from stablevid_tf import models

    def load(name, scale=1):
        return models.build("vresnet_feat", features=4, blocks=1, scale=scale)

    monkeypatch.setattr("stablevid_tf.cli.load_model.load_model", load)
    return load


def test_strength_and_a_part(folder, small, capsys, monkeypatch):
    words = "restore in out --model x --overwrite --strength"
    assert main([*words.split(), "0"]) == 0
    with open_video("out") as video:
        assert [int(f.image.mean()) for f in video] == [0, 40, 80, 120]
    part = "--start 0.08 --seconds 0.05 --rate 25"
    assert main([*words.split(), "0", *part.split()]) == 0
    with open_video("out") as video:
        assert [int(f.image.mean()) for f in video] == [80, 120]
    assert main([*words.split(), "1.5"]) == 0
    monkeypatch.setattr(
        "stablevid_tf.cli.load_model.load_model", lambda name: small(name, scale=2)
    )
    assert main([*words.split(), "0.5"]) == 1
    assert "of scale 2. Leave the strength at 1" in capsys.readouterr().err


def test_precision_reaches_the_model(folder, small, capsys, monkeypatch):
    from stablevid_tf import backend, streaming

    seen = []

    def restored(model, *arguments, **options):
        seen.append(model.dtype_policy.name)
        return 4

    monkeypatch.setattr(streaming, "restore_file", restored)
    monkeypatch.setattr(backend, "fast_bfloat16", lambda: True)
    for words in ("", "--precision float32", "--precision float16"):
        assert main(f"restore in out --model x {words}".split()) == 0
    assert seen == ["mixed_bfloat16", "float32", "mixed_float16"]
    assert capsys.readouterr().out.count("precision: bfloat16") == 1
    words = ["restore", "in", "out", "--model", "x"]
    assert main([*words, "--precision", "auto"]) == 0
    monkeypatch.setattr(backend, "fast_bfloat16", lambda: False)
    assert main(words) == 0
    assert seen[3:] == ["mixed_bfloat16", "float32"]


def test_threads_are_limited(folder):
    code = (
        "import sys, stablevid_tf.cli.load_model as load\n"
        "from stablevid_tf.cli.main import main\n"
        "from stablevid_tf import models\n"
        "load.load_model = lambda _: models.build('vresnet_feat', features=4, blocks=1)"
        "\nassert main('restore in out.mp4 --model x --threads 1'.split()) == 0"
        "\nimport tensorflow as tf\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads(),\n"
        "      tf.config.threading.get_inter_op_parallelism_threads())\n"
        "try: main('restore in o.mp4 --model x --threads 7'.split())\n"
        "finally: print('end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert "out.mp4: 4 frames\n1 1\nend" in done.stdout
    assert "TensorFlow runs already, so its threads" in done.stderr


@pytest.mark.parametrize("strategy", ["burst", "overlap"])
def test_strategies_by_name(folder, same, strategy):
    words = f"restore in out.mkv --model x --lossless --strategy {strategy}"
    assert main(words.split()) == 0
    with open_video("out.mkv") as video:
        assert [int(f.image.mean()) for f in video] == [0, 40, 80, 120]


def test_the_flag_names_every_strategy():
    from stablevid_tf.streaming.strategies import STRATEGIES

    assert options()["strategy"].parser.enum_values == sorted(STRATEGIES)


def test_the_guard_tells_what_it_did(folder, same, capsys):
    words = ["restore", "in", "out", "--model=x", "--strategy=guard", "--overwrite"]
    assert main(words) == 0
    assert "guard: nothing happened" in capsys.readouterr().out
    with ImageWriter("in", overwrite=True) as out:
        for t in range(40):
            out.write(np.full((24, 32, 3), 200 * (t // 5 % 2), np.uint8), t)
    assert main(words) == 0
    told = "guard: the state began anew 7 times (frame 5: scene cut; frame 10: "
    shown = capsys.readouterr().out
    assert told in shown and "frame 25: scene cut; ...)" in shown


def test_dampening_reaches_the_model(folder, same, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "stablevid_tf.streaming.tiled.dampened",
        lambda model, factor: seen.append(factor) or model,
    )
    words = ["restore", "in", "out", "--model=x", "--strategy=dampen", "--overwrite"]
    assert main(words) == 0
    assert main([*words, "--dampening", "0.25"]) == 0
    assert seen == [0.55, 0.25]


def test_a_strategy_that_does_not_suit_the_model(folder, same, capsys):
    assert main(["restore", "in", "out", "--model=x", "--strategy=dampen"]) == 1
    assert "Same does not declare its feedback loops" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_tiles_give_the_same(folder, same):
    words = "restore in out --model x --tile 16 --overlap 0"
    assert main(words.split()) == 0
    with open_video("out") as video:
        assert [int(f.image.mean()) for f in video] == [0, 40, 80, 120]
        assert all(np.ptp(f.image) == 0 for f in video)


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_tile_larger_than_the_frame_is_said_once(folder, same, capsys):
    assert main(["restore", "in", "out", "--model=x", "--tile=512"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("frames of 32x24 fit in one tile of 512") == 1


def test_a_bidirectional_model_restores_a_file(folder, capsys, monkeypatch):
    class Clips:
        scale, channels, name = 1, 3, "clips"

        def predict_on_batch(self, clips):
            return clips

    monkeypatch.setattr("stablevid_tf.cli.load_model.load_model", lambda _: Clips())
    for words in ("", "--look-ahead 0", "--look_ahead 2 --tile 16 --overlap 0"):
        command = f"restore in out --model x --overwrite {words}"
        assert main(command.split()) == 0, capsys.readouterr().err
        with open_video("out") as video:
            assert [int(f.image.mean()) for f in video] == [0, 40, 80, 120]
    assert main([*command.split(), "--strategy", "burst"]) == 1
    assert "clips is bidirectional" in capsys.readouterr().err


def test_tiles_and_look_ahead_that_do_not_suit(folder, same, capsys):
    for words, message in (
        ("--look_ahead 4", "Same restores frame by frame"),
        ("--tile 32", "by 16 pixels per side must be 48 pixels or more"),
    ):
        assert main(f"restore in out --model x {words}".split()) == 1
        shown = capsys.readouterr().err
        assert message in shown and shown.count("\n") == 1
        assert not (folder / "out").exists()


@pytest.mark.filterwarnings("default::UserWarning")
def test_what_is_lost_is_said_once(folder, same, capsys):
    for number in range(3):
        Image.new("RGBA", (32, 24)).save(folder / "in" / f"alpha{number}.png")
    assert main(["restore", "in", "out", "--model", "x"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("stablevid: note:") == 1
    assert "transparency is dropped" in shown


def test_what_stands_there_is_kept_unless_asked(folder, same, capsys):
    words = ["restore", "in", "out.mp4", "--model", "x"]
    (folder / "out.mp4").write_text("precious")
    assert main(words) == 1
    assert (folder / "out.mp4").read_text() == "precious"
    assert "already exists" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert (folder / "out.mp4").stat().st_size > 100


@pytest.mark.parametrize(
    "words, status, message",
    [
        ("", 2, None),
        ("denoise in out", 2, "no command 'denoise'; there are restore,"),
        ("restore in --model x", 2, "IN and OUT, received 1 names"),
        ("restore a.png b.png out --model x", 2, "quote a pattern"),
        ("restore in out.mp4 --model=", 2, "--model needs a name"),
        ("restore in out.mp4 --modell x", 2, "Did you mean: model"),
        ("restore in out.mp4 --model x --crf high", 2, "crf"),
        ("restore in out.mp4 --model x --strategy hope", 2, "burst|dampen|guard|over"),
        ("restore in out.mp4 --model x --dampening 0.5", 2, "with --strategy dampen"),
        (
            "restore in out.mp4 --model x --strategy dampen --dampening 2",
            2,
            "dampening",
        ),
        ("restore in out.mp4 --model x --tile 0", 2, "tile"),
        ("restore in out.mp4 --model x --tile 51.2", 2, "tile"),
        ("restore in out.mp4 --model x --overlap 8", 2, "--overlap goes with --tile"),
        ("restore in out.mp4 --model x --tile 64 --overlap -1", 2, "overlap"),
        ("restore in out.mp4 --model x --look-ahead -1", 2, "look-ahead"),
        ("restore in out.mp4 --model x --look_ahead -1", 2, "look-ahead"),
        ("restore in out.mp4 --model x --strength 2.5", 2, "strength"),
        ("restore in out.mp4 --model x --precision half", 2, "bfloat16|float16"),
        ("restore in out.mp4 --model x --threads 0", 2, "threads"),
        ("restore in out.mp4 --model x --task dehaze", 2, "denoise|upscale|deblur"),
        ("restore in out.mp4 --model x --start -1", 2, "start"),
        ("restore in out.mp4 --model x --seconds 0", 2, "--seconds must be above 0"),
        ("restore in out.mp4 --model x --crf 99", 1, "0 (best) to 51"),
        ("restore none.mp4 out.mp4 --model x", 1, "none.mp4: no such file"),
        ("restore text.mp4 out.mp4 --model x", 1, "not a video that can be read"),
        ("restore none/*.png out.mp4 --model x", 1, "no file fits this pattern"),
        ("restore in in --model x --overwrite", 1, "is the input as well"),
        ("restore in none/out.mp4 --model x", 1, "there is no folder"),
        ("restore in out.gif --model x", 1, "a video is written to .mp4"),
        ("restore in out.mp4 --model none.keras", 1, "none.keras: no such file"),
        ("restore in out.mp4 --model x --rate fast", 1, "frames per second"),
        ("zoo", 2, "'list', 'card NAME'"),
        ("zoo card", 2, "'list', 'card NAME'"),
        ("data", 2, "'list' or 'build NAME --manual-dir DIR'"),
        ("data build vid4", 2, "needs --manual-dir DIR"),
        ("data build vid5 --manual-dir in", 1, "no dataset 'vid5'; there are gopro"),
        ("data build vid4 --manual-dir none", 1, "none: no such folder. Needed: "),
    ],
)
def test_errors_are_one_line(folder, capsys, words, status, message):
    (folder / "text.mp4").write_text("hello")
    before = sorted(os.listdir(folder))
    assert main(words.split()) == status
    shown = capsys.readouterr().err
    if message is not None:
        assert shown.startswith("stablevid: ")
        assert message in shown
        assert shown.count("\n") == 1
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    "number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupted_run_leaves_nothing(folder, number, status):
    code = (
        # A shell's background jobs ignore SIGINT, and so would this one.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys, time, stablevid_tf.cli.load_model as load\n"
        "from stablevid_tf.cli.main import main\n"
        "class Slow:\n"
        "    latency, scale, channels = 0, 1, 3\n"
        "    initial_state = lambda self, frame: ()\n"
        "    def step(self, frame, state):\n"
        "        print('step', flush=True); time.sleep(1); return frame, state\n"
        "load.load_model = lambda name: Slow()\n"
        "sys.exit(main('restore in out.mp4 --model x'.split()))\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.stdout.readline() == "step\n"
    assert run.stdout.readline() == "step\n"
    time.sleep(0.2)
    run.send_signal(number)
    _, shown = run.communicate(timeout=30)
    assert run.returncode == status
    assert "Traceback" not in shown
    assert os.listdir(folder) == ["in"]


def test_a_keras_file_serves_as_model(folder, capfd):
    from stablevid_tf import models

    models.build("vresnet_feat", features=8, blocks=1).save("own.keras")
    capfd.readouterr()
    assert main(["restore", "in", "out", "--model=own.keras"]) == 0
    assert len(os.listdir("out")) == 4


def test_the_zoo_is_listed_and_an_unknown_entry_says_the_nearest(folder, capsys):
    from stablevid_tf import zoo

    if not hasattr(zoo, "names"):
        pytest.skip("this checkout has no zoo yet")
    assert main(["zoo", "list"]) == 0
    rows = capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]
    assert sorted(row.split()[0] for row in rows) == zoo.names()
    assert main(["zoo", "card", zoo.names()[0]]) == 0
    assert zoo.card(zoo.names()[0])[:40] in capsys.readouterr().out
    misspelt = zoo.names()[0] + "x"
    for words in (
        ["zoo", "card", misspelt],
        f"restore in o --model {misspelt}".split(),
    ):
        assert main(words) == 1
        shown = capsys.readouterr().err
        assert zoo.names()[0] in shown.replace(misspelt, "")
        assert shown.count("\n") == 1


def test_datasets_are_listed_and_built(folder, capsys):
    from stablevid_tf.data import builders

    assert main(["data", "list"]) == 0
    assert capsys.readouterr().out.split()[0] == "gopro"
    words = ["data", "build", "video_folder", "--manual-dir", "in"]
    assert main([*words, "--data-dir", "built"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "built/video_folder/1.0.0: train 1\n"
    made = builders.builder("video_folder", "built")
    (example,) = made.as_dataset("train")
    assert len(example["video"]) == len(os.listdir("in"))
    # An incomplete set: refused in one line, then built in part with a note.
    os.makedirs("four/walk")
    for t in range(47):
        Image.new("RGB", (4, 4)).save(f"four/walk/{t}.png")
    words = ["data", "build", "vid4", "--manual-dir", "four", "--data-dir", "built"]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert "3 things are missing" in shown.err and shown.err.count("\n") == 1
    assert main([*words, "--partial"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "built/vid4/1.0.0: test 1\n"
    assert "vid4/1.0.0 is built in part" in shown.err


def test_diagnose_a_cell_by_its_import_path(folder, capsys):
    (folder / "mine.py").write_text(
        "import keras\nfrom stablevid_tf import cells\n\n\n"
        "def small():\n    keras.utils.set_random_seed(0)\n"
        "    return cells.FeatCell(features=4, stages=1)\n"
    )
    words = "diagnose mine:small --frames 60 --tau 4 --size 16 --iterations 5"
    assert main(words.split()) == 0, capsys.readouterr().err
    *summary, report = capsys.readouterr().out.splitlines()
    assert ": stable. " in summary[0]
    assert (folder / report).read_text().startswith("<!doctype html>")
    assert (folder / report).with_name("long_run.png").exists()
    frames = "diagnose mine:small --video in --size 16 --frames 60 --tau 3 --sigma 20"
    assert main([*frames.split(), "--iterations", "2", "--out", "here"]) == 0
    assert "in, sigma 20.0" in (folder / "here" / "report.html").read_text()


@pytest.mark.parametrize(
    "words, message",
    [
        (["diagnose"], "takes MODEL"),
        (["diagnose", "nothing:here"], "cannot be imported"),
        (["diagnose", "math:pi"], "must be a model"),
        (["diagnose", "math:no_such"], "cannot be imported"),
        (["diagnose", "collections:OrderedDict", "--frames", "60"], "initial_state"),
        (["diagnose", "tiny", "--frames", "5"], "--frames"),
    ],
)
def test_diagnose_refuses(words, message, folder, capsys):
    assert main(words) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
