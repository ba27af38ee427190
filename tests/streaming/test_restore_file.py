"""Tested: whole files through a stand-in model, and that every end is clean. How
colours, times and sound are kept is tested under tests/data."""

import os
import signal
import threading
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from stablevid_tf.data.video import create_video, open_video
from stablevid_tf.data.video_colour import VideoColour
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_info import VideoInfo
from stablevid_tf.data.video_writer import VideoWriter
from stablevid_tf.streaming import Guard, restore_file

TIMES = [0, 512, 1024, 1100, 4000, 4512, 5024]


def info(**changes):
    fields = dict(
        width=32,
        height=24,
        frames=None,
        rate=Fraction(25),
        time_base=Fraction(1, 12800),
        aspect=None,
        colour=VideoColour(1, 1),
    )
    return VideoInfo(**{**fields, **changes})


def picture(time, height=24, width=32):
    grid = np.indices((height, width, 3)).sum(0) * 2 + 20 * time
    return (grid % 200).astype(np.uint8)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.mov"
    with create_video(path, info(), lossless=True) as out:
        for index, time in enumerate(TIMES):
            out.write(picture(index), time)
    return path


def read(path):
    with open_video(path) as video:
        return video.info, list(video)


@pytest.mark.parametrize("latency", [0, 2, 9])
def test_a_file_goes_through_whole(tmp_path, source, delay, latency, capsys):
    target = tmp_path / "out.mp4"
    count = restore_file(delay(latency), source, target, lossless=True)
    assert count == len(TIMES)
    out, frames = read(target)
    assert [f.time * out.time_base * 12800 for f in frames] == TIMES
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(index))
    bar = capsys.readouterr().err
    assert "7/7" in bar and "frames/s" in bar
    assert sorted(os.listdir(tmp_path)) == ["in.mov", "out.mp4"]


@pytest.mark.parametrize("strategy", ["burst", "overlap", Guard(burn_in=2)])
def test_strategies_give_every_frame_its_time(tmp_path, source, delay, strategy):
    target = tmp_path / "out.mp4"
    options = {"lossless": True, "progress": False, "strategy": strategy}
    assert restore_file(delay(2), source, target, **options) == len(TIMES)
    out, frames = read(target)
    assert [f.time * out.time_base * 12800 for f in frames] == TIMES
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(index))


def test_tiles_leave_the_container_alone(tmp_path, source, delay):
    target = tmp_path / "out.mp4"
    options = {"lossless": True, "progress": False, "tile": 16, "overlap": 0}
    assert restore_file(delay(2), source, target, **options) == len(TIMES)
    out, frames = read(target)
    assert [f.time * out.time_base * 12800 for f in frames] == TIMES
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(index))


def test_folder_to_folder_keeps_names_and_scale(tmp_path, source, delay):
    restore_file(delay(), source, tmp_path / "frames", progress=False)
    count = restore_file(
        delay(1, scale=2), tmp_path / "frames", tmp_path / "large", progress=False
    )
    names = [f"{n:08d}" for n in range(1, 8)]
    _, frames = read(tmp_path / "large")
    assert count == 7
    assert [f.name for f in frames] == names
    np.testing.assert_array_equal(frames[6].image, picture(6).repeat(2, 0).repeat(2, 1))


def test_images_become_a_video_at_their_rate(tmp_path, source, delay):
    restore_file(delay(), source, tmp_path / "frames", progress=False)
    restore_file(
        delay(),
        str(tmp_path / "frames" / "*.png"),
        tmp_path / "out.mp4",
        rate="30000/1001",
        progress=False,
    )
    out, frames = read(tmp_path / "out.mp4")
    assert out.rate == Fraction(30000, 1001)
    assert len(frames) == 7


def test_a_grey_model_gives_grey_with_a_word(tmp_path, source, delay):
    with pytest.warns(UserWarning, match="model is grey"):
        restore_file(
            delay(channels=1),
            source,
            tmp_path / "out.mkv",
            lossless=True,
            progress=False,
        )
    image = read(tmp_path / "out.mkv")[1][3].image
    luma = picture(3) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(image - luma[..., None]).max() <= 0.51


def test_input_as_output_is_refused(tmp_path, source, delay):
    before = source.read_bytes()
    os.symlink(source, tmp_path / "link.mov")
    for target in (source, tmp_path / "link.mov"):
        with pytest.raises(VideoError, match="is the input as well"):
            restore_file(delay(), source, target, overwrite=True)
    restore_file(delay(), source, tmp_path / "frames", progress=False)
    for images in (tmp_path / "frames", tmp_path / "frames" / "*.png"):
        with pytest.raises(VideoError, match="is the input as well"):
            restore_file(delay(), images, tmp_path / "frames", overwrite=True)
    assert source.read_bytes() == before


def test_a_folder_says_that_it_holds_no_sound(tmp_path):
    with pytest.warns(UserWarning, match="holds no sound"):
        create_video(tmp_path / "out", info(sound=tmp_path / "in.mp4"))


class Failing:
    """Fails at the fourth frame in one of three ways."""

    def __init__(self, delay, how):
        self._delay, self._how, self._count = delay, how, 0
        self.latency, self.channels, self.scale = 0, 3, 1
        self.initial_state = delay.initial_state

    def step(self, frame, state):
        self._count += 1
        if self._count < 4:
            return self._delay.step(frame, state)
        if self._how == "nan":
            return np.asarray(frame) * np.nan, state
        raise self._how("broken")


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out"])
@pytest.mark.parametrize("how", ["nan", RuntimeError, KeyboardInterrupt, MemoryError])
def test_a_failure_leaves_nothing_and_no_thread(tmp_path, source, delay, name, how):
    threads = threading.active_count()
    kind, message = (
        (ValueError, "frame 3 holds NaN") if how == "nan" else (how, "broken")
    )
    with pytest.raises(kind, match=message):
        restore_file(Failing(delay(), how), source, tmp_path / name, progress=False)
    assert os.listdir(tmp_path) == ["in.mov"]
    assert threading.active_count() == threads


def writing(monkeypatch, write):
    """Makes `write(writer, index)` part of every call of a video's writer."""
    before, calls = VideoWriter.write, []

    def wrapped(self, *arguments):
        calls.append(threading.current_thread())
        write(len(calls) - 1)
        before(self, *arguments)

    monkeypatch.setattr(VideoWriter, "write", wrapped)
    return calls


@pytest.mark.parametrize("index", [0, 3, 6])
@pytest.mark.parametrize("kind", [OSError, MemoryError])
def test_a_failure_of_the_encoder(tmp_path, source, delay, monkeypatch, kind, index):
    def fail(number):
        if number == index:
            raise kind("disk full")

    threads = threading.active_count()
    writing(monkeypatch, fail)
    with pytest.raises(kind, match="disk full"):
        restore_file(delay(), source, tmp_path / "out.mp4", progress=False)
    assert os.listdir(tmp_path) == ["in.mov"]
    assert threading.active_count() == threads


def test_a_failure_of_the_decoder(tmp_path, source, delay):
    restore_file(delay(), source, tmp_path / "frames", progress=False)
    (tmp_path / "frames" / "00000004.png").write_bytes(b"no picture")
    threads = threading.active_count()
    with pytest.raises(VideoError, match=r"00000004\.png: not an image"):
        restore_file(delay(), tmp_path / "frames", tmp_path / "out", progress=False)
    assert sorted(os.listdir(tmp_path)) == ["frames", "in.mov"]
    assert threading.active_count() == threads


def test_an_interrupt_while_the_encoder_is_behind(tmp_path, source, delay, monkeypatch):
    # A first run starts the threads that the libraries keep.
    restore_file(delay(), source, tmp_path / "first.mp4", progress=False)
    (tmp_path / "first.mp4").unlink()
    # Where the tests run in the background, interrupts may be ignored.
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    threads, begin = threading.active_count(), time.monotonic()
    calls = writing(monkeypatch, lambda _: time.sleep(0.5))
    main = threading.get_ident()
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        restore_file(delay(), source, tmp_path / "out.mp4", progress=False)
    timer.join()
    signal.signal(signal.SIGINT, old)
    assert os.listdir(tmp_path) == ["in.mov"]
    assert threading.active_count() == threads
    assert len(calls) < len(TIMES) and time.monotonic() - begin < 3


def test_every_stage_has_its_thread(tmp_path, source, delay, monkeypatch):
    calls, seen = writing(monkeypatch, lambda _: None), []

    class Seen(delay):
        def step(self, frame, state):
            seen.append(threading.current_thread())
            return super().step(frame, state)

    restore_file(Seen(), source, tmp_path / "out.mp4", progress=False, threads=1)
    assert set(seen) == {threading.current_thread()}
    (encoder,) = set(calls)
    assert encoder != threading.current_thread()


def test_frames_of_two_sizes_leave_nothing(tmp_path, delay):
    with create_video(tmp_path / "in", info()) as out:
        out.write(picture(0), 0)
        out.write(picture(1, 30, 20), 1)
    with pytest.raises(ValueError, match="frame 1 is 20x30, those before it are 32x24"):
        restore_file(delay(), tmp_path / "in", tmp_path / "out.mp4", progress=False)
    assert os.listdir(tmp_path) == ["in"]


def test_memory_does_not_grow_with_length(tmp_path, delay):
    def peak(count):
        source = tmp_path / f"{count}.mp4"
        with create_video(source, info(), crf=30) as out:
            for time in range(count):
                out.write(picture(time, 96, 96), time * 512)
        tracemalloc.start()
        restore_file(delay(), source, tmp_path / f"out{count}.mp4", progress=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(20)  # what is allocated once
    short, long = peak(60), peak(600)
    assert long < 1.3 * short + 1e5
