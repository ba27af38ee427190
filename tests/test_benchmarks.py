"""What benchmarks compute, on made-up video.

Tested: memory_worth.py on a running mean, whose memory is known, with and without
looking ahead, and its refusals; the noise of shorter clips; versus_filters.py: its
filter graph (order, count, colours, frames that a filter needs), the search, the noise
of its camera, labels, and a whole run; training_trials.py: four trials from one seed,
and its refusals.
Not tested: speed; filters that this build of PyAV lacks; the other benchmarks.
"""

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from stablevid_tf import metrics
from stablevid_tf.data import ImageWriter

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
import common  # noqa: E402
import denoise_psnr  # noqa: E402
import memory_worth  # noqa: E402
import training_trials  # noqa: E402
import versus_filters  # noqa: E402

sys.path.remove(BENCHMARKS)

PRESENT = [n for n in versus_filters.FILTERS if n in av.filter.filters_available]


class RunningMean:
    """The mean of all frames so far; with a latency also of those looked ahead at."""

    name, scale, channels = "running_mean", 1, 3

    def __init__(self, latency=0):
        self.latency = latency

    def initial_state(self, frame):
        return 0.0, 0

    def step(self, frame, state):
        total, count = state[0] + frame, state[1] + 1
        return total / count, (total, count)


def smooth(frames, height=48, width=64):
    """A pattern that moves by two pixels a frame, [T, H, W, 3]."""
    t, y, x = np.ogrid[:frames, :height, :width]
    x = x + 2 * t
    planes = [np.sin(x / 7 + y / 11 + c) for c in range(3)]
    return (0.5 + 0.3 * np.stack(planes, -1)).astype("float32")


def written(folder, clip):
    """A folder of PNG images."""
    folder.mkdir(parents=True)
    with ImageWriter(folder) as writer:
        for time, frame in enumerate(clip):
            writer.write(frame, time)
    return folder


def run(module, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words)])
    module.main()


@pytest.mark.parametrize("latency", [0, 2])
def test_memory_of_a_running_mean_on_a_still_scene(latency):
    clean = np.full((9 + latency, 96, 96, 3), 0.5, "float32")
    noisy = denoise_psnr.add_noise(clean, "grey", 20)
    with_memory, from_zero = memory_worth.worth(RunningMean(latency), clean, noisy, 8)
    # The noise of a mean of n frames is sigma / sqrt(n).
    level = -20 * np.log10(20 / 255)
    assert with_memory == pytest.approx(level + 10 * np.log10(9 + latency), abs=0.15)
    assert from_zero == pytest.approx(level + 10 * np.log10(1 + latency), abs=0.15)


def test_memory_worth_of_clips_and_still_scenes(tmp_path, monkeypatch, capsys):
    moving = written(tmp_path / "clips" / "moving", smooth(7))
    written(tmp_path / "clips" / "still", np.repeat(smooth(1), 7, 0))
    monkeypatch.setattr(memory_worth, "load_model", lambda name: RunningMean())
    out = tmp_path / "out.csv"
    words = ["mean", "--clips", moving.parent, "--frame", 5, "--still", "--out", out]
    run(memory_worth, monkeypatch, *words, "--sigma", 10)
    with open(out, newline="") as file:
        rows = {(row["clip"], row["scene"]): row for row in csv.DictReader(file)}
    assert len(rows) == 4
    assert float(rows["moving", "clip"]["motion"]) > 5
    assert float(rows["moving", "clip"]["difference"]) < 0
    # Memory of a still clip is worth what it is of the scene made of it, exactly:
    # the noise is the same.
    assert rows["still", "clip"]["difference"] == rows["still", "still"]["difference"]
    worth = float(rows["moving", "still"]["difference"])
    assert worth == pytest.approx(10 * np.log10(6), abs=0.3)
    said = capsys.readouterr().out
    assert "clips with motion of 2 or more: mean -" in said
    assert "still scenes: mean +7." in said
    assert "(moving)" in said.split("worst")[1]


def test_memory_worth_takes_the_last_frame_of_a_short_clip(tmp_path, capsys):
    clips = [written(tmp_path / f"of_{n}", smooth(n)) for n in (4, 1)]
    options = SimpleNamespace(frame=20, sigma=10, still=False)
    (row,) = memory_worth.measure("mean", RunningMean(), clips, options)
    assert (row["clip"], row["frame"]) == ("of_4", 3)
    assert "of_1 has one frame" in capsys.readouterr().out


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(SystemExit, match="restores whole clips and has no `step`"):
        denoise_psnr.frame_by_frame(SimpleNamespace(scale=1), "bi")
    larger = RunningMean()
    larger.scale = 2
    with pytest.raises(SystemExit, match="enlarges frames by 2"):
        denoise_psnr.frame_by_frame(larger, "x2")


def test_a_shorter_clip_has_the_same_noise():
    clean = smooth(5)
    whole = denoise_psnr.add_noise(clean, "clip", 30)
    shorter = denoise_psnr.add_noise(clean[:2], "clip", 30)
    np.testing.assert_array_equal(shorter, whole[:2])
    assert np.abs(denoise_psnr.add_noise(clean, "other", 30) - whole).max() > 0.1


# Rounding to Y'CbCr: half a level each of Y', Cb, Cr, and half of the result.
@pytest.mark.parametrize("pixel_format, most", [("gbrp", 0.5), ("yuv444p", 2.5)])
def test_the_graph_returns_the_frames_in_order(pixel_format, most):
    clip = smooth(6)
    clip[3] = 1 - clip[3]
    frames = versus_filters.to_frames(clip, pixel_format)
    out = versus_filters.run_graph(frames, versus_filters.plain("null"), 1.0)
    assert [frame.pts for frame in out] == list(range(6))
    assert {frame.format.name for frame in out} == {pixel_format}
    error = 255 * np.abs(versus_filters.to_images(out) - clip)
    assert error.max() <= most + 1e-3
    assert error.mean() < 1


@pytest.mark.parametrize("name", PRESENT)
def test_a_filter_denoises_and_needs_no_other_frames(name):
    denoiser, clean = versus_filters.FILTERS[name], smooth(6)
    noisy = denoise_psnr.add_noise(clean, name, 20)
    for pixel_format in denoiser.formats:
        strength = denoiser.start * 20
        frames = versus_filters.to_frames(noisy, pixel_format)
        out = versus_filters.run_graph(frames, denoiser.add, strength)
        assert len(out) == 6
        assert {frame.format.name for frame in out} == {pixel_format}
        images = versus_filters.to_images(out)
        seen, restored = (float(metrics.psnr(x[3], clean[3])) for x in (noisy, images))
        assert restored > seen + 0.5
        # The whole clip and the few frames around give the same frame.
        alone = versus_filters.filtered(denoiser, noisy, 3, pixel_format, strength)
        np.testing.assert_array_equal(alone, images[3])


def test_the_search_finds_the_top_or_the_limit():
    best, tried = common.climb(lambda x: -abs(x - 30), 4.0, (1, 100), 1.5)
    assert best == pytest.approx(4 * 1.5**5) and len(tried) <= 8
    assert common.climb(lambda x: x, 4.0, (1, 100), 1.5)[0] == 100
    assert common.climb(lambda x: -x, 4.0, (1, 100), 1.5)[0] == 1


def test_camera_noise_is_12_at_mid_grey():
    grey = np.full((2, 96, 96, 3), 0.5, "float32")
    random = np.random.default_rng(0)
    noisy, target = versus_filters.camera(
        grey, random, codec=None, **versus_filters.CAMERA
    )
    np.testing.assert_allclose(target, 0.5, atol=0.01)
    assert 255 * (noisy - target).std() == pytest.approx(12, abs=1)
    fine, _ = versus_filters.degraded(smooth(4), "clip", "crf16")
    coarse, _ = versus_filters.degraded(smooth(4), "clip", "crf45")
    assert np.abs(np.diff(fine, axis=2)).mean() > np.abs(np.diff(coarse, axis=2)).mean()


def test_labels_are_moved_apart_and_no_further():
    places = common.spread_out([0.5, 0.1, 0.52, 0.51, 0.9], 0.1)
    np.testing.assert_allclose(places, [0.41, 0.1, 0.61, 0.51, 0.9])
    crowded = common.spread_out([0.3, 0.3, 0.35, 0.1], 0.1)
    assert np.diff(np.sort(crowded)).min() >= 0.1 - 1e-9


def test_a_whole_run(tmp_path, monkeypatch, capsys):
    clip = written(tmp_path / "clip", smooth(4))
    other = written(tmp_path / "other", smooth(3)[::-1])
    out = tmp_path / "out.json"
    words = ["--clips", clip, "--frames", 1, 2, "--noise", 20, "--filters", "fftdnoiz"]
    words += ["--models", "tiny", "--dtypes", "float32", "--rounds", 1, "--out", out]
    # TensorFlow has run in this process: its threads are fixed.
    monkeypatch.setattr(versus_filters, "limit_threads", lambda threads: None)
    if "fftdnoiz" not in PRESENT:
        pytest.skip("this build of PyAV has no fftdnoiz")
    with pytest.raises(SystemExit, match="in --clips and in --tune"):
        run(versus_filters, monkeypatch, *words, "--tune", clip)
    run(versus_filters, monkeypatch, *words, "--tune", other)
    with open(out.with_suffix(".csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["frame"]) for row in rows] == [
        (method, t) for method in ("noisy", "fftdnoiz", "tiny") for t in "12"
    ]
    found = json.loads(out.read_text())
    noisy, fftdnoiz, tiny = (figure["psnr"] for figure in found["figures"])
    assert noisy == pytest.approx(np.mean([float(r["psnr"]) for r in rows[:2]]))
    assert min(fftdnoiz, tiny) > noisy
    assert set(found["seconds"]) == {"fftdnoiz", "tiny float32"}
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "fftdnoiz" in capsys.readouterr().out


def test_training_trials(tmp_path, monkeypatch, capsys):
    clips = tmp_path / "clips"
    written(clips / "waves", smooth(8))
    words = ["--data", clips, "--clips", clips, "--steps", 60, "--batch", 2]
    words += ["--size", 16, "--out", tmp_path / "out.csv", "--arguments"]
    words.append(
        '{"features": [4], "blocks": [1], "memory_features": 13, '
        '"groups": 1, "gate_features": 2, "align": null}'
    )
    trials = ["adam:0", "adam:1e-2", "adam:0.01", "muon:1e-2"]
    run(training_trials, monkeypatch, *trials, *words)
    assert "PSNR" in capsys.readouterr().out
    with open(tmp_path / "out.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows[::10]] == trials and len(rows) == 40
    assert [int(row["step"]) for row in rows[:10]] == list(range(6, 61, 6))
    still, first, same, other = (rows[i : i + 10] for i in (0, 10, 20, 30))
    for key in ("loss", "psnr"):
        assert [r[key] for r in first] == [r[key] for r in same]
        assert first[-1][key] != still[-1][key] != other[-1][key]
    # Untrained, the network gives the noisy frame back; the clip is rounded to 8 bits.
    noisy = denoise_psnr.add_noise(smooth(8), "waves", 30)[6]
    wanted = common.psnr(noisy, smooth(8)[6])
    assert abs(float(still[-1]["psnr"]) - wanted) < 0.05
    assert float(first[-1]["psnr"]) > wanted + 0.5


@pytest.mark.parametrize(
    "words, said",
    [
        (["sgd:1"], "'sgd:1' is no trial: give one of muon, adam, a colon"),
        (["muon"], "'muon' is no trial"),
        (["muon:1e-3", "--steps", "55"], "--steps: a multiple of 10 above 50"),
    ],
)
def test_training_trials_refuses(monkeypatch, capsys, words, said):
    with pytest.raises(SystemExit, match="2"):
        run(training_trials, monkeypatch, *words, "--data", "x", "--clips", "x")
    assert said in capsys.readouterr().err
