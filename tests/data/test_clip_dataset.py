"""ClipDataset: what a batch is made of, and what is left out.

Tested: batches as a function of (seed, epoch, index) alone; the noise's deviation,
range and freshness; clean clips cut from the videos, flipped or not; grey; how often
each video is drawn; single clips; videos that are left out; errors; several workers;
the cache.
Not tested: decoding itself (test_video_*.py); speed.
"""

import threading
import warnings

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from stablevid_tf.data import ClipDataset


def write_frames(folder, count=6, height=24, width=30, seed=0):
    """A folder of PNG frames; returns what they hold."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, height, width, 3), dtype="uint8")
    folder.mkdir(parents=True)
    for t, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{t:03d}.png")
    return images


@pytest.fixture
def source(tmp_path):
    for i, name in enumerate("abc"):
        write_frames(tmp_path / "videos" / name, count=6 + i, seed=i)
    return tmp_path / "videos"


def dataset(source, **arguments):
    arguments = {"frames": 3, "size": 8, "batch_size": 4, "steps": 5} | arguments
    return ClipDataset(source, **arguments)


def write_again(folder):
    """The frames of the `source` fixture."""
    return [write_frames(folder / n, 6 + i, seed=i) for i, n in enumerate("abc")]


def find(clip, videos):
    """Whether a clip of float frames was cut out of one of the videos."""
    clip = np.rint(clip * 255).astype("uint8")
    frames, height, width, _ = clip.shape
    for video in videos:
        slides = np.lib.stride_tricks.sliding_window_view(
            video, (frames, height, width), axis=(0, 1, 2)
        )
        # [..., channel, frame, row, column]
        if (slides == np.moveaxis(clip, -1, 0)).all((-4, -3, -2, -1)).any():
            return True
    return False


def test_shapes_types_and_length(source):
    clips = dataset(source)
    noisy, clean = clips[0]
    assert len(clips) == 5
    for x in (noisy, clean):
        assert x.shape == (4, 3, 8, 8, 3)
        assert x.dtype == "float32"
    assert clean.min() >= 0
    assert clean.max() <= 1
    # Noise is not clipped away.
    assert noisy.min() < -0.05
    assert noisy.max() > 1.05


def test_a_batch_is_a_function_of_seed_epoch_and_index(source):
    first, second = dataset(source, seed=3), dataset(source, seed=3)
    # Another order of asking, and epochs reached by other ways.
    wanted = [(2, 1), (0, 0), (2, 3), (0, 4)]
    batches = []
    for clips, order in ((first, wanted), (second, wanted[::-1])):
        found = {}
        for epoch, index in order:
            clips.epoch = epoch
            found[epoch, index] = clips[index]
        batches.append(found)
    for key in wanted:
        for a, b in zip(batches[0][key], batches[1][key], strict=True):
            np.testing.assert_array_equal(a, b)
    keys = list(batches[0])
    for i, a in enumerate(keys):
        for b in keys[:i]:
            assert not np.array_equal(batches[0][a][1], batches[0][b][1])
    other = dataset(source, seed=4)
    assert not np.array_equal(other[0][1], batches[0][0, 0][1])
    second.epoch = 0
    second.on_epoch_end()
    assert second.epoch == 1


@pytest.mark.parametrize("sigma", [5.0, 30, 100])
def test_noise_has_the_stated_deviation(source, sigma):
    clips = dataset(source, sigma=sigma, batch_size=16, size=16)
    noise = np.concatenate([n - c for n, c in (clips[i] for i in range(3))]).ravel()
    count = noise.size
    # Five standard errors of a deviation and of a mean.
    assert noise.std() * 255 == pytest.approx(sigma, rel=5 / (2 * count) ** 0.5)
    assert abs(noise.mean()) * 255 < 5 * sigma / count**0.5
    # Gaussian in shape, and white: no pixel follows its neighbour.
    assert stats.kurtosis(noise) == pytest.approx(0, abs=5 * (24 / count) ** 0.5)
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 5 / count**0.5


def test_no_noise(source):
    noisy, clean = dataset(source, sigma=0)[0]
    np.testing.assert_array_equal(noisy, clean)


def test_sigma_is_drawn_for_each_clip(source):
    clips = dataset(source, sigma=(10, 50), batch_size=64, size=16)
    noisy, clean = clips[0]
    levels = (noisy - clean).std(axis=(1, 2, 3, 4)) * 255
    # 2304 values a clip: their deviation is known to 1.5 %.
    assert levels.min() > 10 * 0.9
    assert levels.max() < 50 * 1.1
    assert stats.kstest(levels, stats.uniform(10, 40).cdf).pvalue > 1e-3


def test_noise_is_fresh_in_every_batch_and_epoch(source):
    clips = dataset(source)
    noises = []
    for epoch in range(2):
        clips.epoch = epoch
        noises += [np.ravel(n - c) for n, c in (clips[0], clips[1])]
    correlation = np.corrcoef(noises) - np.eye(4)
    # Independent draws of 2304 values: five standard errors.
    assert np.abs(correlation).max() < 5 / len(noises[0]) ** 0.5


def test_clean_clips_are_cut_from_the_videos(source, tmp_path):
    videos = write_again(tmp_path / "again")
    _, clean = dataset(source, flip=False, batch_size=8)[0]
    assert all(find(clip, videos) for clip in clean)
    # Many places, not one.
    assert len({clip.tobytes() for clip in clean}) == 8


def test_flips(source, tmp_path):
    videos = write_again(tmp_path / "again")
    _, clean = dataset(source, batch_size=48)[0]
    counts = np.zeros((2, 2), int)
    for clip in clean:
        ways = [
            (up, left)
            for up in (0, 1)
            for left in (0, 1)
            if find(clip[:, :: 1 - 2 * up, :: 1 - 2 * left], videos)
        ]
        # Exactly one of the four, and the same for all frames of a clip.
        assert len(ways) == 1
        counts[ways[0]] += 1
    # Each a quarter of 48: below 2 has a chance of one in 60,000.
    assert counts.min() >= 2


def test_every_start_is_as_likely(tmp_path):
    # Videos of 3 and 12 frames: 1 and 10 starts, so clips in this proportion.
    write_frames(tmp_path / "v" / "short", 3, seed=1)
    long = write_frames(tmp_path / "v" / "long", 12, seed=2)
    clips = dataset(tmp_path / "v", batch_size=64, flip=False, size=24)
    share = np.mean([find(clip, [long]) for i in (0, 1, 2) for clip in clips[i][1]])
    # 192 draws: five standard errors.
    assert share == pytest.approx(10 / 11, abs=5 * (10 / 121 / 192) ** 0.5)


def test_the_whole_of_a_video_can_be_a_clip(tmp_path):
    video = write_frames(tmp_path / "v", 4, 9, 9)
    clips = dataset(tmp_path / "v", frames=4, size=9, flip=False)
    for clip in clips[0][1]:
        np.testing.assert_array_equal(np.rint(clip * 255), video)


def test_grey(source):
    colour, grey = (dataset(source, sigma=0, grey=g)[0][1] for g in (False, True))
    assert grey.shape == (4, 3, 8, 8, 1)
    truth = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey[..., 0], truth, atol=1e-6)  # float32


def test_video_files_folders_lists_and_globs(tmp_path, clips):
    clips.make(tmp_path / "film.mkv", clips.moving(5))
    write_frames(tmp_path / "frames", 5, 64, 64)
    (tmp_path / "notes.txt").write_text("no video")
    everything = {"frames": 2, "size": 32, "batch_size": 32}
    for source in (
        tmp_path,
        str(tmp_path),
        tmp_path / "film.mkv",
        tmp_path / "frames",
        [tmp_path / "film.mkv", str(tmp_path / "frames")],
        str(tmp_path / "*.mkv"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            noisy, _ = ClipDataset(source, **everything)[0]
        assert noisy.shape == (32, 2, 32, 32, 3)


def test_videos_that_give_no_clip_are_left_out_and_counted(source):
    write_frames(source / "short", 2)
    write_frames(source / "small", 6, 24, 7)
    (source / "broken.mp4").write_bytes(b"no video at all" * 100)
    (source / "empty.mkv").write_bytes(b"")
    write_frames(source / "odd", 6)
    (source / "odd" / "002.png").write_bytes(b"no image")
    write_frames(source / "mixed", 3)
    Image.new("RGB", (50, 50)).save(source / "mixed" / "001.png")
    with pytest.warns(UserWarning, match=r"6 of 9 videos are left out.*First: "):
        clips = dataset(source)
    videos = write_again(source.parent / "again")
    for i in range(4):
        for clip in clips[i][1]:
            assert any(
                find(clip[:, ::u, ::v], videos) for u in (1, -1) for v in (1, -1)
            )


def test_a_weight_says_how_often_a_video_is_drawn(source, tmp_path):
    asked = []

    def weight(path):
        asked.append(path)
        return {"a": 3, "b": 0, "c": np.float32(1)}[path.stem]

    # Too short for a clip: not asked for.
    write_frames(source / "short", 2)
    with pytest.warns(UserWarning, match="1 of 4 videos are left out"):
        clips = dataset(source, batch_size=400, sigma=0, weight=weight, flip=False)
    assert asked == [source / name for name in "abc"]
    videos = write_again(tmp_path / "again")
    clean = clips[0][1]
    of = [[find(clip, [video]) for clip in clean[:60]] for video in videos]
    assert not any(of[1]) and all(a or c for a, c in zip(of[0], of[2], strict=True))
    # Five standard errors of sixty draws.
    assert np.mean(of[0]) == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / 60) ** 0.5)


def test_without_a_weight_the_number_of_clips_counts(source):
    plain = dataset(source)
    same = dataset(source, weight=lambda path: {"a": 4, "b": 5, "c": 6}[path.name])
    for a, b in zip(plain[3], same[3], strict=True):
        np.testing.assert_array_equal(a, b)
    other = dataset(source, weight=lambda path: 1)
    pairs = [(other[i][1], plain[i][1]) for i in range(20)]
    assert not all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "weight, words",
    [
        (-1, "finite number, 0 or more, for every video. Received: -1 for "),
        (float("nan"), "finite number"),
        (float("inf"), "finite number"),
        (None, "finite number"),
        ("1", "finite number"),
        (0, "0 for every video"),
    ],
)
def test_a_weight_that_is_none(source, weight, words):
    with pytest.raises(ValueError, match=words):
        dataset(source, weight=lambda path: weight)


@pytest.mark.parametrize("grey", [False, True])
def test_single_clips(source, grey):
    clips = dataset(source, sigma=(10, 50), grey=grey, seed=9)
    pairs = [clips.draw(np.random.default_rng(4)) for _ in range(2)]
    for a, b in zip(*pairs, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape == (3, 8, 8, 1 if grey else 3) and a.dtype == "float32"
    random, levels = np.random.default_rng(5), []
    for _ in range(64):
        noisy, clean = clips.draw(random)
        levels.append(255 * (noisy - clean).std())
    # A few hundred values a clip: their deviation is known to some percent.
    assert 10 * 0.7 < min(levels) < 20 and 40 < max(levels) < 50 * 1.3
    quiet = dataset(source, sigma=0)
    noisy, clean = quiet.draw(random)
    np.testing.assert_array_equal(noisy, clean)


def test_single_clips_are_cut_and_degraded_as_those_of_batches(source, tmp_path):
    videos = write_again(tmp_path / "again")
    clips = dataset(source, flip=False, degrade=lambda clip, random: clip / 2)
    for seed in range(6):
        half, clean = clips.draw(np.random.default_rng(seed))
        np.testing.assert_array_equal(half, clean / 2)
        assert find(clean, videos)


def test_nothing_left_is_an_error(tmp_path):
    write_frames(tmp_path / "v" / "short", 2)
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match="None of 1 videos gives clips of 3 frames"),
    ):
        warnings.simplefilter("ignore")
        dataset(tmp_path / "v")


@pytest.mark.parametrize("kind", ["empty folder", "missing", "missing in a list"])
def test_no_video_is_an_error(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    source = {
        "empty folder": tmp_path / "empty",
        "missing": tmp_path / "nothing.mp4",
        "missing in a list": [tmp_path / "nothing.mp4"],
    }[kind]
    with (
        warnings.catch_warnings(),
        pytest.raises(FileNotFoundError, match=r"empty|nothing"),
    ):
        warnings.simplefilter("ignore")
        dataset(source)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"frames": 0}, "frames must be a positive integer"),
        ({"size": 8.0}, "size must be a positive integer"),
        ({"batch_size": -1}, "batch_size must be a positive integer"),
        ({"steps": 0}, "steps must be a positive integer"),
        ({"sigma": -1}, "sigma is a noise level in units of 255"),
        ({"sigma": 256}, "sigma is a noise level"),
        ({"sigma": float("nan")}, "sigma is a noise level"),
        ({"sigma": (50, 10)}, "sigma is a noise level"),
        ({"sigma": (1, 2, 3)}, "sigma is a noise level"),
    ],
)
def test_wrong_arguments(source, arguments, words):
    with pytest.raises(ValueError, match=words):
        dataset(source, **arguments)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_sees_the_batches_of_every_epoch(source, workers, shuffle):
    clips = dataset(source, workers=workers, max_queue_size=3)
    seen = []

    class Watch(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.layers.Dense(3)

        def call(self, x):
            return self.layer(x)

        def train_step(self, data):
            seen.append(data[0].numpy().tobytes())
            return {"loss": 0.0}

    model = Watch()
    model.compile("sgd", run_eagerly=True)
    # Keras' own first look at the data counts as an epoch: say which one it is.
    count = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs=None: setattr(clips, "epoch", epoch)
    )
    model.fit(clips, epochs=3, shuffle=shuffle, verbose=0, callbacks=[count])
    truth = []
    plain = dataset(source)
    for epoch in range(3):
        plain.epoch = epoch
        truth.append([plain[i][0].tobytes() for i in range(5)])
    epochs = [seen[i : i + 5] for i in (0, 5, 10)]
    # Shuffling may change the order within an epoch, never what is in it.
    if shuffle:
        assert [set(e) for e in epochs] == [set(e) for e in truth]
    else:
        assert epochs == truth


def test_the_cache_is_used_again_and_notices_changes(source, tmp_path):
    cache = tmp_path / "cache"
    first = dataset(source, cache=cache)[0]
    files = {p: p.stat().st_mtime_ns for p in cache.iterdir()}
    assert len(files) == 3
    again = dataset(source, cache=cache)[0]
    np.testing.assert_array_equal(again[0], first[0])
    assert {p: p.stat().st_mtime_ns for p in cache.iterdir()} == files
    for image in (source / "a").iterdir():
        image.unlink()
    (source / "a").rmdir()
    new = write_frames(source / "a", 9, seed=9)
    clips = dataset(source, cache=cache, batch_size=64, flip=False)
    assert any(find(clip, [new]) for clip in clips[0][1])


def test_the_temporary_cache_goes_away(source, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    clips = dataset(source)
    assert list((tmp_path / "t").iterdir())
    del clips
    assert not list((tmp_path / "t").iterdir())


def test_the_source_is_not_touched(source):
    before = sorted((p, p.stat().st_mtime_ns) for p in source.rglob("*"))
    dataset(source)[0]
    assert sorted((p, p.stat().st_mtime_ns) for p in source.rglob("*")) == before


def test_arrays_are_opened_in_one_thread(source, tmp_path, monkeypatch):
    """In several, numpy.load fails now and then on Python 3.11."""
    load, threads = np.load, []

    def recorded(*arguments, **options):
        threads.append(threading.current_thread())
        return load(*arguments, **options)

    monkeypatch.setattr(np, "load", recorded)
    dataset(source, cache=tmp_path / "cache")
    assert threads == [threading.main_thread()] * 3
