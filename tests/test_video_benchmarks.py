"""What the benchmarks of clean video, still scenes and alignment compute.

Tested: clean_video.py on a model that adds a constant; still_scene.py on a running
mean, whose error is known; alignment.py on a pattern that moves; their files.
Not tested: the figures of real entries.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
import alignment  # noqa: E402
import clean_video  # noqa: E402
import still_scene  # noqa: E402
from test_benchmarks import RunningMean, run, smooth, written  # noqa: E402

sys.path.remove(BENCHMARKS)


class Brighter(RunningMean):
    """Adds 0.01."""

    def step(self, frame, state):
        return frame + 0.01, state


@pytest.fixture
def clips(tmp_path):
    written(tmp_path / "clips" / "waves", smooth(24))
    return tmp_path / "clips"


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_clean_video(clips, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(clean_video, "load_model", lambda name: Brighter())
    out = tmp_path / "out.csv"
    run(clean_video, monkeypatch, "brighter", "--clips", clips, "--out", out)
    (row,) = rows(out)
    # 20 log10(1 / 0.01); 0.01 of 255.
    assert float(row["unchanged"]) == pytest.approx(40, abs=1e-3)
    assert float(row["colour"]) == pytest.approx(2.55, abs=1e-3)
    assert "least 40.00 dB" in capsys.readouterr().out


def test_still_scene(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(still_scene, "load_model", lambda name: RunningMean())
    out = tmp_path / "out.csv"
    words = ["--clips", clips, "--size", 32, "--at", 0, 40, "--out", out]
    run(still_scene, monkeypatch, "mean", *words)
    first, last = rows(out)
    assert (first["frame"], last["frame"]) == ("0", "40")
    # The variance of a mean of n frames, sigma 30, frames 31 to 40 in the last row. The
    # tenth part of a decibel: 3,072 values of noise.
    one = 20 * np.log10(255 / 30)
    wanted = one + np.mean(10 * np.log10(np.arange(32, 42)))
    assert float(first["psnr"]) == pytest.approx(one, abs=0.3)
    assert float(last["psnr"]) == pytest.approx(wanted, abs=0.3)
    assert still_scene.middle(np.zeros((5, 40, 3)), 32).shape == (5, 32, 3)


def test_alignment(clips, tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    words = ["--clips", clips, "--sigma", 5, "--out", out]
    run(alignment, monkeypatch, *words)
    found = {(row["scene"], row["method"]): float(row["error"]) for row in rows(out)}
    assert found["still", "none"] == 0
    # Two pixels a frame over waves of 44 pixels and amplitude 0.3.
    wanted = 255 * 0.3 * np.sqrt(2) * np.sin(2 / 7 / 2)
    assert found["clip", "none"] == pytest.approx(wanted, rel=0.1)
    for method in ("Lucas-Kanade", "Lucas-Kanade, half size"):
        assert found["clip", method] < 0.3 * found["clip", "none"]
        assert found["still", method] < 0.5
