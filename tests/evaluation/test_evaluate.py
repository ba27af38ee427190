"""Evaluation by the papers' protocols: what is shown, what is compared, what is said.

Tested: every protocol's numbers against scikit-image and SciPy on frames degraded here;
truths from a folder; models that lag; noise that is the benchmark's; LPIPS, tOF and the
warping error beside; the CSV, the table, the pictures; clips that are left out and
counted; refusals; memory that does not grow; `stablevid evaluate`.
Not tested: published numbers (no weights and no data of the papers are here); the
measures themselves (tests/metrics).
"""

import csv
import dataclasses
import os
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stablevid_tf import evaluation, metrics
from stablevid_tf.cli.evaluate import options
from stablevid_tf.cli.main import main
from stablevid_tf.data.degradations import bicubic_down
from stablevid_tf.evaluation.evaluate import ALSO


class Plain:
    """Repeats pixels, `latency` frames late."""

    channels = 3

    def __init__(self, scale=1, latency=0, channels=3):
        self.scale, self.latency, self.channels = scale, latency, channels

    def initial_state(self, frame):
        return [0 * frame] * self.latency

    def step(self, frame, state):
        frame, *state = [*state[::-1], frame] if self.latency else [frame]
        out = np.array(frame)[..., :3]
        return out.repeat(self.scale, 1).repeat(self.scale, 2), state[::-1]


def scene(seed, count, height, width):
    """A coloured scene that slides; [T, H, W, 3] uint8."""
    noise = np.random.default_rng(seed).random((height, width + count, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    smooth = 255 * (smooth - smooth.min()) / np.ptp(smooth)
    return np.stack([smooth[:, t : t + width] for t in range(count)]).astype("uint8")


def write(folder, clip):
    folder.mkdir(parents=True)
    for t, image in enumerate(clip):
        Image.fromarray(image).save(folder / f"{t:03d}.png")
    return clip / np.float32(255)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clips(folder):
    """Of unequal length and size, neither divisible by 4."""
    return {
        "a": write(folder / "clips" / "a", scene(0, 9, 50, 57)),
        "b": write(folder / "clips" / "b", scene(1, 11, 49, 66)),
    }


def luma(x):
    r, g, b = np.moveaxis(x.astype("float64"), -1, 0)
    return ((65.481 * r + 128.553 * g + 24.966 * b + 16) / 255)[..., None]


def psnr(a, b):
    return peak_signal_noise_ratio(a, b, data_range=1)


def ssim(a, b):
    return structural_similarity(
        a, b, data_range=1, channel_axis=-1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip


def check(found, wanted):
    assert [row["clip"] for row in found.rows] == list(wanted)
    for row in found.rows:
        values = [v for k, v in row.items() if k not in ("clip", "frames")]
        # float32 means and logarithms, in dB.
        np.testing.assert_allclose(values, wanted[row["clip"]], atol=1e-4)
    np.testing.assert_allclose(
        list(found.mean.values()), np.mean(list(wanted.values()), axis=0), atol=1e-4
    )


def noisy(name, clip, seed=0):
    number = zlib.crc32(name.encode())
    random = np.random.default_rng([seed, number] if seed else number)
    # All at once: the same numbers as frame by frame.
    noise = random.standard_normal(clip.shape, dtype="float32")
    return clip + noise * np.float32(30 / 255)


@pytest.mark.parametrize("latency, seed", [(0, 0), (1, 0), (2, 5)])
def test_tanay(folder, clips, latency, seed):
    model = Plain(latency=latency)
    found = evaluation.evaluate(model, folder / "clips", "tanay", seed=seed)
    wanted = {}
    for name, clip in clips.items():
        shown = np.clip(noisy(name, clip, seed), 0, 1)
        curve = [psnr(x, y) for x, y in zip(clip[:7], shown, strict=False)]
        wanted[name] = [curve[0], curve[6], np.mean(curve)]
        np.testing.assert_allclose(found.curves[name]["psnr"], curve, atol=1e-4)
    check(found, wanted)
    assert [row["frames"] for row in found.rows] == [7, 7]
    assert found.protocol.columns == (
        "psnr_rgb_frame1", "psnr_rgb_frame7", "psnr_rgb_mean",
    )  # fmt: skip


def enlarged(small, scale=4):
    return np.clip(small.repeat(scale, 1).repeat(scale, 2), 0, 1)


def test_tanay_x2(folder, clips):
    found = evaluation.evaluate(Plain(scale=2), folder / "clips", "tanay_x2")
    wanted = {}
    for name, clip in clips.items():
        clip = clip[:7, : clip.shape[1] // 2 * 2, : clip.shape[2] // 2 * 2]
        shown = enlarged(bicubic_down(clip, 2), 2)
        curve = [psnr(*pair) for pair in zip(clip, shown, strict=True)]
        wanted[name] = [curve[0], curve[6], np.mean(curve)]
    check(found, wanted)


def of_luma(truth, restored, crop):
    cut = np.s_[crop : len(truth) - crop, crop : truth.shape[1] - crop]
    return luma(truth)[cut], luma(restored)[cut]


def test_mori(folder, clips):
    found = evaluation.evaluate(Plain(scale=4), folder / "clips", "mori")
    wanted = {}
    for name, clip in clips.items():
        clip = clip[:, :48, : clip.shape[2] // 4 * 4]
        blurred = gaussian_filter(clip, (0, 1.5, 1.5, 0), mode="mirror")
        pairs = [of_luma(*p, 0) for p in
                 zip(clip, enlarged(blurred[:, ::4, ::4]), strict=True)]  # fmt: skip
        wanted[name] = [np.mean([f(*p) for p in pairs]) for f in (psnr, ssim)]
    check(found, wanted)
    assert list(found.mean) == ["psnr_y_mean", "ssim_y_mean"]
    assert [row["frames"] for row in found.rows] == [9, 11]


@pytest.mark.parametrize("protocol", ["wdvr_reds", "wdvr_vid4"])
def test_wdvr(folder, clips, protocol):
    found = evaluation.evaluate(Plain(scale=4), folder / "clips", protocol)
    wanted = {}
    for name, clip in clips.items():
        clip = clip[:, :48, : clip.shape[2] // 4 * 4]
        small = np.rint(255 * np.clip(bicubic_down(clip, 4), 0, 1)) / 255
        pairs = list(zip(clip.astype("float64"), enlarged(small), strict=True))
        if protocol == "wdvr_vid4":
            pairs = [of_luma(*pair, 4) for pair in pairs]
        wanted[name] = [np.mean([f(*p) for p in pairs]) for f in (psnr, ssim)]
    check(found, wanted)


def test_rirn_blurs_where_no_blurred_frames_are_given(folder, clips):
    found = evaluation.evaluate(Plain(), folder / "clips", "rirn")
    wanted = {}
    for name, clip in clips.items():
        starts = range(len(clip) - 6)
        blurred = [clip[t : t + 7].astype("float64").mean(0) for t in starts]
        shown = np.rint(255 * np.array(blurred)) / 255
        pairs = list(zip(clip[3:-3].astype("float64"), shown, strict=True))
        wanted[name] = [np.mean([f(*p) for p in pairs]) for f in (psnr, ssim)]
    check(found, wanted)


def test_truths_from_a_folder(folder, clips, tmp_path):
    blurred = {}
    for name, clip in clips.items():
        soft = gaussian_filter(clip, (0, 1, 1, 0))
        blurred[name] = write(tmp_path / name, np.rint(255 * soft).astype("uint8"))
    found = evaluation.evaluate(Plain(), tmp_path, "rirn", folder / "clips")
    wanted = {
        name: [
            np.mean([f(x.astype("float64"), y.astype("float64"))
                     for x, y in zip(clip, blurred[name], strict=True)])
            for f in (psnr, ssim)
        ]
        for name, clip in clips.items()
    }  # fmt: skip
    check(found, wanted)
    said = found.protocol.describe(found.given)
    assert said.startswith("rirn: deblurring, degraded clips as given, every frame")


def test_what_is_measured_besides(folder, clips):
    found = evaluation.evaluate(
        Plain(), folder / "clips", "tanay", also=("tof", "warping_error"), profiles=True
    )
    for name, clip in clips.items():
        truth, restored = clip[:7], np.clip(noisy(name, clip)[:7], 0, 1)
        (row,) = [row for row in found.rows if row["clip"] == name]
        for metric in ("tof", "warping_error"):
            curve = getattr(metrics, metric)(truth, restored)
            np.testing.assert_allclose(found.curves[name][metric], curve)
            assert row[f"{metric}_mean"] == pytest.approx(curve.mean())
        profile, middle = found.profiles[name], clip.shape[1] // 2
        np.testing.assert_array_equal(profile[:7], truth[:, middle])
        assert (profile[7:11] == 1).all()
        np.testing.assert_array_equal(profile[11:], restored[:, middle])


class Fails(Plain):
    """Gives what is no number from the fourth frame on."""

    def initial_state(self, frame):
        return 0

    def step(self, frame, state):
        return frame * (1 if state < 3 else np.nan), state + 1


def test_frames_that_are_no_numbers_are_not_passed_over(folder, clips):
    found = evaluation.evaluate(Fails(), folder / "clips", "tanay")
    for row in found.rows:
        assert np.isfinite(row["psnr_rgb_frame1"])
        assert np.isnan([row["psnr_rgb_frame7"], row["psnr_rgb_mean"]]).all()
    assert np.isnan(found.mean["psnr_rgb_mean"])
    assert found.table().endswith(" | nan | nan |")
    # One clip that fails is enough.
    found.rows[0]["psnr_rgb_mean"] = 30.0
    assert np.isnan(found.mean["psnr_rgb_mean"])


def test_a_warping_error_of_nothing_seen_twice_is_passed_over(folder, clips):
    found = evaluation.evaluate(
        Plain(), folder / "clips", "tanay", also=("warping_error",)
    )
    first, second = found.rows
    first["warping_error_mean"] = float("nan")
    assert found.mean["warping_error_mean"] == second["warping_error_mean"] > 0


def test_lpips_is_measured_at_the_frames_of_psnr(folder, clips, monkeypatch):
    distance = lambda a, b, weights, crop: np.abs(a - b).mean()  # noqa: E731
    monkeypatch.setattr(metrics, "lpips", distance)
    found = evaluation.evaluate(
        Plain(), folder / "clips", "tanay", also=["lpips"], lpips_weights={}
    )
    assert list(found.mean)[3:] == ["lpips_rgb_frame1", "lpips_rgb_frame7",
                                    "lpips_rgb_mean"]  # fmt: skip
    clip = clips["a"]
    wanted = np.abs(clip[6] - np.clip(noisy("a", clip)[6], 0, 1)).mean()
    assert found.rows[0]["lpips_rgb_frame7"] == pytest.approx(wanted, rel=1e-5)


def test_a_noise_map_for_models_that_take_one(folder, clips):
    seen = []

    class Told(Plain):
        def step(self, frame, state):
            seen.append(np.array(frame))
            return super().step(frame, state)

    told = evaluation.evaluate(Told(channels=4), folder / "clips", "tanay")
    blind = evaluation.evaluate(Plain(), folder / "clips", "tanay")
    assert told.mean == blind.mean
    assert (seen[0][..., 3] == np.float32(30 / 255)).all()


def test_the_files(folder, clips, tmp_path):
    found = evaluation.evaluate(
        Plain(), folder / "clips", "tanay", name="plain", profiles=True
    )
    paths = found.save(tmp_path / "out")
    names = ["results.csv", "psnr.png", "profile_a.png", "profile_b.png"]
    assert [path.name for path in paths] == names
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)
    with open(paths[0], newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clip"] for row in rows] == ["a", "b", "mean"]
    assert {row["protocol"] for row in rows} == {"tanay"}
    assert {row["model"] for row in rows} == {"plain"}
    column = [float(row["psnr_rgb_frame7"]) for row in rows]
    assert column[2] == pytest.approx(np.mean(column[:2]))
    assert [row["frames"] for row in rows] == ["7", "7", "14"]
    assert Image.open(paths[1]).size == (1200, 525)
    profile = np.array(Image.open(paths[2]))
    np.testing.assert_array_equal(profile[:7], np.rint(255 * clips["a"][:7, 25]))
    head, _, row = found.table().splitlines()
    assert head.startswith("| protocol | model | clips | psnr_rgb_frame1 |")
    assert row.startswith("| tanay | plain | 2 | ")
    assert f"{column[2]:.2f}" in row


def write_bad(folder):
    """One good clip, and six that cannot be measured."""
    good = scene(3, 8, 24, 28)
    write(folder / "good", good)
    write(folder / "short", good[:5])
    write(folder / "corrupt", good)
    (folder / "corrupt" / "004.png").write_bytes(b"no picture")
    write(folder / "mixed", good)
    Image.new("RGB", (20, 24)).save(folder / "mixed" / "005.png")
    write(folder / "tiny", good)
    (folder / "broken.mp4").write_bytes(b"no video" * 99)
    return good


def test_what_cannot_be_measured_is_counted_and_named(tmp_path):
    write_bad(tmp_path)
    with pytest.warns(UserWarning, match="left out") as seen:
        found = evaluation.evaluate(Plain(), tmp_path, "tanay")
    reasons = {
        "broken": "not a video",
        "corrupt": "004.png: not an image",
        "mixed": "frame 5 is 20x24",
        "short": "5 frames are too few: tanay needs at least 7",
    }
    assert [row["clip"] for row in found.rows] == ["good", "tiny"]
    assert len(found.left_out) == len(seen) == len(reasons)
    for (name, reason), said in zip(reasons.items(), found.left_out, strict=True):
        assert said.startswith(f"{name}: ") and reason in said
    assert "| 2 of 6 |" in found.table()


@pytest.mark.filterwarnings("ignore:left out")
def test_truths_that_do_not_fit(tmp_path):
    good = scene(3, 8, 24, 28)
    for name in ("longer", "shorter", "wider"):
        write(tmp_path / "bad" / name, good)
    write(tmp_path / "true" / "longer", good[:6])
    write(tmp_path / "true" / "shorter", np.concatenate([good, good]))
    write(tmp_path / "true" / "wider", scene(3, 8, 24, 32))
    with pytest.raises(ValueError, match="None of 3 clips"):
        evaluation.evaluate(Plain(), tmp_path / "bad", "rirn", tmp_path / "true")
    write(tmp_path / "bad" / "fits", good)
    with pytest.raises(FileNotFoundError, match="no truth for 1 of 4 clips"):
        evaluation.evaluate(Plain(), tmp_path / "bad", "rirn", tmp_path / "true")
    write(tmp_path / "true" / "fits", good)
    found = evaluation.evaluate(Plain(), tmp_path / "bad", "rirn", tmp_path / "true")
    longer, shorter, wider = found.left_out
    assert "the clip is longer: its truth ends after 6" in longer
    assert "its truth is longer: the clip ends after 8" in shorter
    assert "truth 32x24, clip 28x24" in wider


def test_grey_and_16_bit_pictures(tmp_path):
    grey = scene(4, 7, 24, 28)[..., 0]
    deep = grey.astype("uint16") * 257
    for name, clip in (("grey", grey), ("deep", deep)):
        write(tmp_path / name, clip)
    # What is lost of 16 bits is said.
    with pytest.warns(UserWarning, match="16 bits become 8"):
        found = evaluation.evaluate(Plain(), tmp_path, "tanay")
    clip = grey[..., None].repeat(3, -1) / np.float32(255)
    wanted = {
        name: psnr(clip[0], np.clip(noisy(name, clip)[0], 0, 1))
        for name in ("deep", "grey")
    }
    for row in found.rows:
        # swscale may round grey by one step of 255.
        assert row["psnr_rgb_frame1"] == pytest.approx(wanted[row["clip"]], abs=0.1)


def test_memory_does_not_grow_with_the_clip(tmp_path, monkeypatch):
    alive, most = set(), []
    from stablevid_tf.evaluation import clips as module

    def frames(path, grey):
        for index in range(100):
            frame = np.full((16, 16, 3), index / 100, np.float32).view(Counted)
            alive.add(id(frame))
            most.append(len(alive))
            yield frame
            del frame

    class Counted(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    monkeypatch.setattr(module, "_frames", frames)
    (tmp_path / "clip.mp4").write_bytes(b"")
    protocol = dataclasses.replace(
        evaluation.PROTOCOLS["rirn"], measures=(("psnr", "mean"),)
    )
    found = evaluation.evaluate(Plain(latency=2), tmp_path, protocol)
    assert found.rows[0]["frames"] == 94
    # The window of seven, the lag, and a few on their way.
    assert max(most) < 20


@pytest.mark.parametrize(
    "model, arguments, error, words",
    [
        (Plain(), {"protocol": "best"}, ValueError, "from: tanay, tanay_x2, mori"),
        (Plain(), {"protocol": "mori"}, ValueError, "a model of scale 4"),
        (Plain(2), {"protocol": "tanay"}, ValueError, "a model of scale 1"),
        (Plain(4, channels=1), {"protocol": "mori"}, ValueError, "grey"),
        (Plain(), {"also": ["fid"]}, ValueError, "measures in also"),
        (Plain(), {"also": ["lpips"]}, ValueError, "torchvision"),
        (Plain(), {"source": "nowhere"}, FileNotFoundError, "nowhere"),
        (Plain(), {"source": "."}, FileNotFoundError, "no video file"),
    ],
)
def test_refusals(folder, clips, tmp_path, monkeypatch, model, arguments, error, words):
    monkeypatch.chdir(tmp_path)
    arguments = {"source": folder / "clips", "protocol": "tanay"} | arguments
    with pytest.raises(error, match=words):
        evaluation.evaluate(model, **arguments)


def test_clips_of_one_name(tmp_path):
    write(tmp_path / "a", scene(0, 7, 16, 16))
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="must have different names"):
        evaluation.evaluate(Plain(), tmp_path, "tanay")


def test_protocols_are_plain_data():
    for name, protocol in evaluation.PROTOCOLS.items():
        assert protocol.name == name
        said = protocol.describe()
        assert said.startswith(f"{name}: {protocol.task}")
        assert protocol.source in said
    assert "4 pixels left out" in evaluation.PROTOCOLS["wdvr_vid4"].describe()


# --- stablevid evaluate ----------------------------------------------------------


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "stablevid_tf.cli.load_model.load_model", lambda name: Plain(latency=1)
    )
    return lambda *words: main(["evaluate", *map(str, words)])


def test_the_flags_name_all_there_is():
    names = options()["protocol"].parser.enum_values
    assert names == list(evaluation.PROTOCOLS)
    assert tuple(options()["also"].parser.enum_values) == ALSO


def test_every_number_printed_carries_its_protocol(folder, clips, command, capsys):
    assert command("tiny", folder / "clips", "--protocol=tanay", "--also=tof") == 0
    *said, csv_path, psnr_path, tof_path = capsys.readouterr().out.splitlines()
    first, second, protocol, *_, row = said
    assert first.startswith("tanay  a  psnr_rgb_frame1 ")
    assert second.startswith("tanay  b  psnr_rgb_frame1 ")
    assert protocol.startswith("tanay: denoising, GaussianNoise(sigma=30.0)")
    assert row.startswith("| tanay | tiny | 2 | ")
    assert csv_path == os.path.join("evaluation_tiny_tanay", "results.csv")
    for path in (csv_path, psnr_path, tof_path):
        assert os.path.getsize(path) > 50


def test_results_are_kept_unless_asked(folder, clips, command, capsys, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.csv").write_text("precious")
    words = ["tiny", folder / "clips", "--protocol", "tanay", "--out", "out"]
    assert command(*words) == 1
    assert "already exists" in capsys.readouterr().err
    assert (tmp_path / "out" / "results.csv").read_text() == "precious"
    assert command(*words, "--overwrite") == 0
    assert "tanay,tiny,mean" in (tmp_path / "out" / "results.csv").read_text()


@pytest.mark.filterwarnings("default::UserWarning")
def test_clips_left_out_are_told(command, capsys, tmp_path):
    write_bad(tmp_path / "bad")
    assert command("tiny", "bad", "--protocol", "tanay") == 0
    shown = capsys.readouterr()
    assert shown.err.count("stablevid: note: left out: ") == 4
    assert "4 of 6 clips are left out" in shown.out


@pytest.mark.parametrize(
    "words, status, message",
    [
        ("tiny", 2, "takes NAME and DATA"),
        ("tiny data", 2, "needs --protocol"),
        ("tiny data --protocol best", 2, "tanay|tanay_x2|mori|"),
        ("tiny data --protocol tanay --also fid", 2, "also"),
        ("tiny data --protocol tanay", 1, "data: there is no such"),
        ("tiny empty --protocol tanay", 1, "no video file"),
        ("tiny one --protocol tanay --truth empty", 1, "no video file"),
        ("tiny one --protocol mori", 1, "a model of scale 4"),
        ("tiny one --protocol tanay --also lpips", 1, "LPIPS needs weights"),
        ("tiny one --protocol tanay", 1, "None of 1 clips"),
    ],
)
def test_errors_are_one_line(command, capsys, tmp_path, words, status, message):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "one" / "clip", scene(0, 2, 16, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert command(*words.split()) == status
    shown = capsys.readouterr().err.splitlines()
    assert message in shown[-1]
    assert not (tmp_path / "evaluation_tiny_tanay").exists()
