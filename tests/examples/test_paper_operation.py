"""Studies of examples/paper, trained for two steps on made-up clips.

Tested: which rows, columns and files each leaves; what the table says of missing rows;
that a second run makes nothing anew; that other arguments and unknown rows are refused
in a line.
Not tested: what the papers claim, which takes the real budget.
"""

import re

import numpy as np
import pytest
from studies import ran, table
from test_examples import write_clip

# What claims.judged prints after a claim.
JUDGED = r" \(\S+; told beyond \d\.\d\d\): (agrees|disagrees|cannot be told)"


@pytest.fixture
def words(tmp_path):
    """Options of every study: clips, folders, and as little work as can be."""
    (tmp_path / "clips").mkdir()
    for seed in range(4):
        write_clip(tmp_path / "clips" / f"clip{seed}", 16, 80, 80, seed)
    options = {"data": "clips", "test": "clips", "out": "out", "cache": "cache"}
    found = [x for k, v in options.items() for x in (f"--{k}", tmp_path / v)]
    return [*found, "--steps", 2, "--features", 4]


@pytest.mark.large
def test_operation(tmp_path, words):
    words += ["--frames", 24]
    first = ran("operation", *words, "--rows", "bursts", "overlap_of_halves")
    assert first.returncode == 0, first.stderr
    assert "Without the rows as_it_is, srnc" in first.stdout
    claim = "overlap mends that: bursts over overlap_of_halves"
    assert re.search(re.escape(claim) + JUDGED, first.stdout)
    rows = table(tmp_path / "out")
    assert set(rows) == {"bursts", "overlap_of_halves"}
    assert rows["overlap_of_halves"]["models_run"] == "2"
    assert all(np.isfinite(float(r["psnr_rgb_mean_db"])) for r in rows.values())
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
    kept = tmp_path / "out" / "bursts" / "figures.json"
    before = kept.stat().st_mtime_ns

    again = ran("operation", *words, "--rows", "bursts")
    assert again.returncode == 0 and set(table(tmp_path / "out")) == set(rows)
    assert kept.stat().st_mtime_ns == before and "step" not in again.stdout


def test_lengths(tmp_path, words):
    words += ["--frames", 60, "--iterations", 2, "--rows", "length_14"]
    result = ran("lengths", *words)
    assert result.returncode == 0, result.stderr
    assert "Without the rows length_7, length_28, length_56: no" in result.stdout
    rows = table(tmp_path / "out")
    assert set(rows) == {"length_14"}
    assert rows["length_14"]["paper_psnr_frame7_db"] == "34.78"
    assert float(rows["length_14"]["loop_gain_bound"]) > 0
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000


@pytest.mark.large
def test_initialisation(tmp_path, words):
    words += ["--videos", 4, "--frames", 32, "--test-size", 32]
    result = ran("initialisation", *words, "--rows", "frvsr_ri")
    assert result.returncode == 2
    assert "frvsr_ri: 2 steps are no whole epochs of 8" in result.stderr

    words[words.index("--steps") + 1] = 8
    result = ran("initialisation", *words, "--rows", "frvsr_ri")
    assert result.returncode == 0, result.stderr
    assert "T: 16 16 16 16 frames" in result.stdout
    claim = "motion heals (figure 3), still over slow, dB"
    assert re.search(re.escape(claim) + JUDGED, result.stdout)
    found = table(tmp_path / "out")
    assert set(found) == {"frvsr_ri", "bicubic"}
    # Eight steps from bicubic enlargement.
    near = float(found["bicubic"]["psnr_y_static_db"])
    assert float(found["frvsr_ri"]["psnr_y_static_db"]) == pytest.approx(near, abs=0.5)
    assert found["frvsr_ri"]["time_over_ri"] == "1.0"
    # Such short clips are none of the long ones.
    assert found["frvsr_ri"]["psnr_y_long_db"] == "nan"
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
