"""The tables of RIRN and WDVR: recurrence_in_recurrence.py and wide_activation.py.

Tested: that rows are trained, measured, written, drawn, and not made again; the PSNR of
the blurred input, recomputed; the rule for claims of several differences; (large)
padding and speed of the 3D network.
Not tested: what a row reaches (a table is trained for an hour).
"""

import numpy as np
import pytest
from PIL import Image
from studies import PAPER, made

from stablevid_tf.data import ImageWriter


@pytest.fixture
def clips(tmp_path):
    """Two clips of 26 frames of 120x128: for 20 blurred ones, and 64x64 that drift."""
    (tmp_path / "clips").mkdir()
    rows, columns = np.mgrid[:120, :128] / 6
    for name in ("a", "b"):
        with ImageWriter(tmp_path / "clips" / name) as out:
            for t in range(26):
                wave = np.sin(rows + t / 9 + ord(name)) * np.cos(columns) / 2 + 0.5
                out.write(np.stack([wave, wave**2, 1 - wave], axis=-1), t)
    return tmp_path / "clips"


def run(name, clips, out, *rows):
    return made(name, clips, out, "--blocks", "1", "--rows", *rows)


def blurred_psnr(folder):
    """Of the mean of seven frames, in 8 bits, against the middle one: 20 of them."""
    frames = [np.asarray(Image.open(path), float) for path in sorted(folder.iterdir())]
    errors = [
        np.mean((np.rint(np.mean(frames[t : t + 7], axis=0)) - frames[t + 3]) ** 2)
        for t in range(20)
    ]
    return np.mean(20 * np.log10(255 / np.sqrt(errors)))


def test_recurrence_in_recurrence(tmp_path, clips):
    out = tmp_path / "out"
    names = ("blurred", "lstm", "ifi_rnn_loop")
    said, table = run("recurrence_in_recurrence", clips, out, *names)
    assert tuple(table) == names
    expected = np.mean([blurred_psnr(folder) for folder in clips.iterdir()])
    found = float(table["blurred"]["psnr_rgb_mean"])
    assert found == pytest.approx(expected, abs=0.02)
    # Of what drifts by up to two pixels a frame, seven frames' mean is a blur.
    assert 20 < float(table["blurred"]["psnr_rgb_moving"]) < 45
    assert table["lstm"]["paper_psnr_reds"] == "26.87"
    assert float(table["lstm"]["psnr_gain_over_network_alone"]) == 0
    assert table["ifi_rnn_loop"]["constraint"] == "loop"
    assert table["ifi_rnn_loop"]["paper_psnr_reds"] == ""
    for row in list(table.values())[1:]:
        assert row["frames_of_numbers"] == "590" and row["long_run"] == "stable"
        # What a loop that is held forgets, the same picture brings back.
        early, late = float(row["psnr_frame20"]), float(row["psnr_frame590"])
        assert 20 < early == pytest.approx(late, abs=1e-3) != float(row["psnr_frame7"])
        assert row["psnr_guarded_frame590"] == ""
    assert table["ifi_rnn_loop"]["verdict"] == "proved"
    assert "Both help every network: a row is missing, or has no number." in said
    with Image.open(out / "figure.png") as picture:
        assert picture.size == (1350, 1050)


@pytest.mark.large
def test_wide_activation(tmp_path, clips):
    out = tmp_path / "out"
    names = ("bicubic", "3d_tsas", "3d_tsas_unpadded")
    said, table = run("wide_activation", clips, out, *names)
    assert tuple(table) == names
    assert said.count("psnr_last") == 2
    assert table["3d_tsas"]["parameters"] == table["3d_tsas_unpadded"]["parameters"]
    psnr = {name: float(row["psnr_rgb_mean"]) for name, row in table.items()}
    assert psnr["bicubic"] > 20 > psnr["3d_tsas"] != psnr["3d_tsas_unpadded"]
    # One block sees a frame on either side, the skip two: no more padding can matter.
    assert "and no further (8 - 5: +0.000 dB): agrees" in said
    with Image.open(out / "figure.png") as picture:
        assert picture.width == 1350
    # Nothing is made again.
    said, again = run("wide_activation", clips, out, "bicubic")
    assert "psnr_last" not in said and again == table


@pytest.mark.parametrize(
    ("differences", "spread", "said"),
    [
        ((0.5, 0.3), 0.2, "agrees"),
        ((0.5, 0.1), 0.2, "cannot be told"),
        ((0.5, -0.3), 0.2, "disagrees"),
        ((0.5, None), 0.2, "a row is missing"),
        ((0.5, 0.3), None, "a row is missing"),
    ],
)
def test_several_differences(monkeypatch, capsys, differences, spread, said):
    monkeypatch.syspath_prepend(PAPER)
    import claims

    claims.all_judged("Both", dict(zip("ab", differences, strict=True)), spread)
    line = capsys.readouterr().out
    assert line.startswith("Both") and f": {said}" in line
