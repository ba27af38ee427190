"""How the tests run a study of examples/paper, and read its table."""

import csv
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "examples" / "paper"


def ran(name, *words):
    """A study as a script, in a process of its own."""
    return subprocess.run(
        [sys.executable, PAPER / f"{name}.py", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def table(out):
    """The rows of `results.csv` by their names."""
    with open(out / "results.csv", newline="") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def made(name, clips, out, *words):
    """A study of 2 steps and 4 features; what it said, and its table."""
    words = ["--data", clips, "--test", clips, "--out", out, *words]
    done = ran(name, *words, "--steps", 2, "--features", 4)
    assert done.returncode == 0, done.stderr
    return done.stdout, table(out)
