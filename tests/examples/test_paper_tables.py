"""The tables of the SRN-C paper: constraints.py and recurrences.py.

Tested: the rules by which claims are judged; what a study refuses; (large) that rows
are trained, measured, written, drawn, and not made again.
Not tested: what a row reaches (a table is trained for hours).
"""

import argparse

import numpy as np
import pytest
from PIL import Image
from studies import PAPER, made

from stablevid_tf.data import ImageWriter


@pytest.fixture
def paper(monkeypatch):
    """The scripts' own modules, importable."""
    monkeypatch.syspath_prepend(PAPER)


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "clips").mkdir()
    rows, columns = np.mgrid[:48, :56] / 6
    for name in ("a", "b"):
        with ImageWriter(tmp_path / "clips" / name) as out:
            for t in range(20):
                wave = np.sin(rows + t / 9 + ord(name)) * np.cos(columns) / 2 + 0.5
                out.write(np.stack([wave, wave**2, 1 - wave], axis=-1), t)
    return tmp_path / "clips"


@pytest.mark.parametrize(
    ("difference", "spread", "said"),
    [
        (0.5, 0.2, "agrees"),
        (-0.5, 0.2, "disagrees"),
        (0.1, 0.2, "cannot be told"),
        (0.2, 0.2, "cannot be told"),
        (0.0, 0.0, "cannot be told"),
        (None, 0.2, "a row is missing"),
        (0.5, None, "a row is missing"),
    ],
)
def test_a_difference_counts_beyond_the_spread(paper, capsys, difference, spread, said):
    import claims

    claims.judged("More", difference, spread)
    line = capsys.readouterr().out
    assert line.startswith("More") and f": {said}" in line


@pytest.mark.parametrize(
    ("verdicts", "control", "said"),
    [
        (("fails", "proved"), "fails", "agrees"),
        (("fails", "passes"), "passes", "agrees"),
        (("passes", "passes"), "fails", "disagrees"),
        (("passes", "passes"), "passes", "cannot be told"),
        (("undecided", "passes"), "fails", "cannot be told"),
        (("fails", "fails"), "passes", "disagrees"),
        ((None, "passes"), "fails", "a row is missing"),
    ],
)
def test_stability_as_in_the_paper(paper, capsys, verdicts, control, said):
    import claims

    should = {"loose": False, "tight": True}
    seen = dict(zip(should, verdicts, strict=True))
    claims.as_in_paper("Tight is stable", seen, should, control)
    assert f": {said}" in capsys.readouterr().out


def test_spread_is_the_largest_between_twins(paper):
    import claims

    found = {"a": {"x": 1}, "a_seed1": {"x": 4}, "b": {"x": 2}, "b_seed1": {"x": 1}}
    assert claims.more(found, "a_seed1", "b", "x") == 2
    assert claims.more(found, "a", "c", "x") is None
    failed = found | {"c": {"x": float("nan")}}
    assert claims.more(failed, "a", "c", "x") is None
    assert claims.spread(failed | {"a_seed1": failed["c"]}, ["b", "a"], "x") is None
    assert claims.spread(found, ["a", "b"], "x") == 3
    assert claims.spread(found, ["a", "c"], "x") is None


def test_a_study_refuses_unknown_rows_and_other_settings(paper, tmp_path, capsys):
    import study

    def asked(**changed):
        named = dict(out=str(tmp_path), rows=None, cache=None, steps=5) | changed
        return study.chosen(argparse.Namespace(**named), ["one", "two"])

    with pytest.raises(SystemExit, match=r"No row is named three\. Rows: one two"):
        asked(rows=["three"])
    assert asked() == ["one", "two"]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "figures.json").write_text("{}")
    assert asked(rows=["one"]) == ["one", "two"]
    assert asked(rows=["two"], cache="elsewhere") == ["two"]
    assert "Without the rows one" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"'steps': 5.*'steps': 6.*another --out"):
        asked(steps=6)


@pytest.mark.large
def test_constraints(tmp_path, clips):
    out = tmp_path / "out"
    said, table = made(
        "constraints", clips, out, "--rows", "loop_0.95", "printed_2_0.1"
    )
    assert set(table) == {"loop_0.95", "printed_2_0.1"}
    assert table["loop_0.95"]["verdict"] == "proved"
    assert 0.9 < float(table["loop_0.95"]["loop_gain_largest"]) <= 0.95
    # As printed the algorithm leaves norms above alpha.
    assert float(table["printed_2_0.1"]["norm_mean"]) > 2.1
    assert "As printed it holds them as well: disagrees." in said
    with Image.open(out / "figure.png") as picture:
        assert picture.width == 1100
    # A dampened row needs no training but of the row without constraint.
    said, table = made("constraints", clips, out, "--rows", "dampened_0")
    assert table["dampened_0"]["verdict"] == "proved"
    assert list(table) == ["printed_2_0.1", "loop_0.95", "dampened_0"]
    assert said.count("psnr_last") == 1


@pytest.mark.large
def test_recurrences(tmp_path, clips):
    names = ["vresnet_birlsp", "vresnet_single_mf3", "vnlb"]
    words = ["--frames", "10", "--rows", *names]
    _, table = made("recurrences", clips, tmp_path / "out", *words)
    assert set(table) == set(names)
    assert table["vnlb"]["paper_psnr_mean"] == "35.78"
    assert table["vresnet_birlsp"]["verdict"] == ""
    assert table["vresnet_single_mf3"]["verdict"] == "proved"
    assert all(float(table[name]["psnr_rgb_frame7"]) > 5 for name in names[:2])
    with Image.open(tmp_path / "out" / "figure.png") as picture:
        assert picture.width == 1100
