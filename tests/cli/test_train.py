"""`stablevid train`: which recipe runs, with which words, in which folder.

Tested: scripts, entries and folders; the words a recipe sees; its exit status and
errors; signals; what is refused; a real entry, a few epochs.
Not tested: what a recipe reaches.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stablevid_tf.cli.main import main
from stablevid_tf.cli.train import recipe_of
from stablevid_tf.data.images_writer import ImageWriter

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "zoo").glob("*/train.py"))
NAMES = [recipe.parent.name for recipe in RECIPES]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_script_gets_its_words(here, capsys):
    Path("mine.py").write_text(
        "import sys\nprint(__name__, sys.argv)\nassert __file__.endswith('mine.py')\n"
    )
    before = list(sys.argv)
    assert main(["train", "mine.py", "--steps=3", "-x", "data", "--run", "r"]) == 0
    shown = capsys.readouterr()
    wanted = ["mine.py", "--steps=3", "-x", "data", "--run", "r"]
    assert shown.out == f"__main__ {wanted}\n"
    assert "run folder r; killed or interrupted, the same command" in shown.err
    assert sys.argv == before


def test_the_run_folder_has_a_name_where_none_is_given(here, capsys):
    text = "import argparse, sys\np = argparse.ArgumentParser()\n"
    text += 'p.add_argument("--run")\nprint(p.parse_args().run)\n'
    Path("mine.py").write_text(text)
    assert main(["train", "mine.py"]) == 0
    assert capsys.readouterr().out == f"{os.path.join('runs', 'mine')}\n"
    Path("other").mkdir()
    Path("other/train.py").write_text(text)
    assert main(["train", "other"]) == 0
    assert capsys.readouterr().out == f"{os.path.join('runs', 'other')}\n"
    assert main(["train", "other", "--run=x"]) == 0
    assert capsys.readouterr().out == "x\n"


def test_a_recipe_has_its_own_help(here, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "tiny", "--help"])
    shown = capsys.readouterr()
    assert stopped.value.code == 0
    assert "--data" in shown.out and "run folder" not in shown.err
    with pytest.raises(SystemExit) as stopped:
        main(["train", "tiny", "--nonsense"])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    "words, status, said",
    [
        ([], 2, "train takes a RECIPE"),
        (["--data", "x"], 2, "Unknown command line flag 'data'"),
        (["missing.py"], 1, "missing.py: no such recipe"),
        (["tinny"], 1, "No entry is named 'tinny'; the nearest is 'tiny'"),
        (["text.txt"], 1, "text.txt is no recipe: a recipe is a Python script"),
        (["empty"], 1, "there is no train.py in it"),
        (["tiny", "--data", "nowhere"], 1, "nowhere: there is no such file or folder"),
    ],
)
def test_refused_in_one_line(here, capsys, words, status, said):
    Path("text.txt").write_text("no code")
    Path("empty").mkdir()
    assert main(["train", *words]) == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("stablevid: ") and said in last


def test_an_entry_by_name_is_its_recipe():
    assert recipe_of("tiny") == ROOT / "zoo" / "tiny" / "train.py"
    assert recipe_of(str(ROOT / "zoo" / "tiny")) == ROOT / "zoo" / "tiny" / "train.py"


@pytest.mark.parametrize("sent, status", [("SIGINT", 130), ("SIGTERM", 143)])
def test_signals_end_the_recipe(here, sent, status):
    Path("slow.py").write_text("print('on', flush=True)\nimport time\ntime.sleep(60)\n")
    code = (
        # A shell's background jobs ignore SIGINT, and so would this one.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; from stablevid_tf.cli.main import main; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "train", "slow.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "on\n"
    start = time.monotonic()
    process.send_signal(getattr(signal, sent))
    _, error = process.communicate(timeout=30)
    assert process.returncode == status and time.monotonic() - start < 20
    assert "Traceback" not in error


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
@pytest.mark.parametrize("steps", [0, 150, 201])
def test_a_recipe_refuses_steps_that_it_would_not_take(
    here, recipe, steps, monkeypatch, capsys
):
    words = [str(recipe), "--data", "clips", "--run", "run", "--steps", str(steps)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(recipe), run_name="__main__")
    assert f"from 200 on, not {steps}" in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.large
def test_an_entry_is_trained_and_gone_on_with(here):
    with ImageWriter("clips") as out:
        for t in range(9):
            out.write(np.full((70, 70, 3), 20 * t, np.uint8), t)
    words = ["train", "tiny", "--data", "clips", "--steps", "200"]
    command = [sys.executable, "-c"]
    command += ["import sys; from stablevid_tf.cli.main import main; sys.exit(main())"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*command, *words], check=True, env=environment)
    run = Path("runs/tiny")
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "run.json",
        "train.py",
        "log.csv",
        "log.png",
        "resume.weights.h5",
        "model.weights.h5",
    }
    record = json.loads((run / "run.json").read_text())["starts"]
    assert record[0]["arguments"]["steps"] == 200 and record[0]["seed"] == 0
    subprocess.run([*command, *words], check=True, env=environment)
    assert len((run / "log.csv").read_text().splitlines()) == 5
