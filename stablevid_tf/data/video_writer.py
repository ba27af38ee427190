import contextlib
import os
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
from av.video.reformatter import VideoReformatter
from numpy.typing import ArrayLike

from stablevid_tf.data.images_convert import to_uint8
from stablevid_tf.data.video_colour import from_rgb, tag
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_info import VideoInfo
from stablevid_tf.data.video_sound import VideoSound
from stablevid_tf.data.video_target import complete_or_absent

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")


class VideoWriter:
    """Writes frames to a video file that appears only when it is complete.

    H.264 in MP4, MOV and MKV, VP9 in WebM, with the colour matrix, range, pixel
    aspect and frame times of `info`, and its sound copied. Frames keep 4:2:0 or
    4:2:2 colour where `info` has it and the size allows, else 4:4:4. A context
    manager: leaving it without an exception puts the file in place, leaving it
    with one removes what was written. Matroska and WebM hold times to the
    millisecond only; MP4 and MOV hold them exactly.

    Args:
        path: the file, its suffix one of `VIDEO_SUFFIXES`.
        info: `VideoInfo` of the video it is made from. The frame size is the
            first frame's, not that of `info`.
        crf: int, 0 (best) to 51 (63 in WebM); default 18 (24 in WebM).
        lossless: bool, store RGB bit by bit: FFV1 in MKV, H.264 in MP4 and MOV.
        overwrite: bool, replace what stands at `path`.

    Raises:
        FileExistsError: something stands at `path`.
        VideoError: a suffix, a frame size or a place that cannot be written.
        ValueError: `crf` out of range or beside `lossless`; a frame of another
            shape than the first, or not finite.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from stablevid_tf.data.images_writer import ImageWriter
        >>> from stablevid_tf.data.video import open_video
        >>> folder = tempfile.mkdtemp()
        >>> with ImageWriter(folder + "/in") as out:
        ...     for time in range(5):
        ...         out.write(np.full([32, 48, 3], time / 5), time)
        >>> with open_video(folder + "/in", rate=25) as video:
        ...     with VideoWriter(folder + "/out.mp4", video.info) as out:
        ...         for frame in video:
        ...             out.write(frame.image, frame.time, frame.duration)
        >>> with open_video(folder + "/out.mp4") as video:
        ...     [round(frame.image.mean() / 51) for frame in video]
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        info: VideoInfo,
        crf: int | None = None,
        lossless: bool = False,
        overwrite: bool = False,
    ) -> None:
        self._path, self._info = Path(path), info
        suffix = self._path.suffix.lower()
        if suffix not in VIDEO_SUFFIXES:
            raise VideoError(
                f"{path}: a video is written to {', '.join(VIDEO_SUFFIXES)}; "
                "a name without suffix makes a folder of PNG files"
            )
        self._webm = suffix == ".webm"
        self._lossless = lossless
        self._options = self._encoder_options(crf)
        self._target = complete_or_absent(path, overwrite)
        self._stack = contextlib.ExitStack()
        self._container = self._stream = self._sound = self._shape = None
        self._reformatter = VideoReformatter()
        self._count, self._last_time = 0, None

    def __enter__(self) -> Self:
        self._temporary = self._stack.enter_context(self._target)
        self._stack.push(self._close)
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        return self._stack.__exit__(*exception)

    def write(
        self, image: ArrayLike, time: int, duration: int = 0, name: str | None = None
    ) -> None:
        """Adds a frame.

        Args:
            image: [H, W, 3] or [H, W, 1], uint8, or floating in [0, 1]; what lies
                outside is clipped.
            time: int, when it is shown, in units of `info.time_base`.
            duration: int, in the same units; 0 if unknown.
            name: ignored here; `ImageWriter` names its files so.
        """
        pixels = to_uint8(image, self._count)
        if self._stream is None:
            self._start(pixels.shape)
        if pixels.shape != self._shape:
            raise ValueError(
                f"frame {self._count} has shape {pixels.shape}, those before it "
                f"{self._shape}; a video has frames of one size"
            )
        if self._last_time is not None and time <= self._last_time:
            if time < self._last_time or self._count == 1:
                warnings.warn("frame times that do not rise are moved", stacklevel=2)
            time = self._last_time + 1
        self._last_time, self._count = time, self._count + 1
        frame = from_rgb(pixels, self._info.colour, self._format, self._reformatter)
        frame.pts, frame.duration = time, duration
        frame.time_base = self._info.time_base
        with self._named():
            if self._sound:
                self._sound.write(until=time * self._info.time_base)
            self._container.mux(self._stream.encode(frame))

    def _start(self, shape):
        info, self._shape = self._info, shape
        codec, self._format = self._codec(*shape[:2])
        with self._named():
            self._container = av.open(str(self._temporary), "w", options=self._exact())
            stream = self._container.add_stream(
                codec, rate=info.rate, options=self._options
            )
            stream.height, stream.width = shape[:2]
            stream.pix_fmt = self._format
            stream.time_base = stream.codec_context.time_base = info.time_base
            if info.aspect:
                stream.sample_aspect_ratio = info.aspect
            tag(stream.codec_context, info.colour, self._format)
            stream.codec_context.thread_type = "AUTO"
            self._stream = stream
            if info.sound is not None:
                origin = Fraction(info.origin) * info.time_base
                self._sound = VideoSound(info.sound, self._container, origin)

    def _codec(self, height, width):
        if self._lossless:
            mkv = self._path.suffix.lower() == ".mkv"
            return ("ffv1", "bgr0") if mkv else ("libx264rgb", "rgb24")
        chroma = self._info.chroma
        if width % 2 or (height % 2 and chroma == "420"):
            chroma = "444"
        return "libvpx-vp9" if self._webm else "libx264", f"yuv{chroma}p"

    def _encoder_options(self, crf):
        worst = 63 if self._webm else 51
        if self._lossless:
            if crf is not None:
                raise ValueError("lossless video has no crf; give one of the two")
            if self._webm:
                raise ValueError("lossless video is written to .mkv, .mp4 or .mov")
            return {} if self._path.suffix.lower() == ".mkv" else {"qp": "0"}
        if crf is None:
            crf = 24 if self._webm else 18
        if not 0 <= crf <= worst:
            raise ValueError(f"crf is 0 (best) to {worst}. Received: crf={crf}")
        options = {"crf": str(crf)}
        if self._webm:
            return options | {"b": "0", "cpu-used": "4", "row-mt": "1"}
        # As small and as exact as the default preset, in half the time; and chroma said
        # to lie where it is written, else players shift it by half a pixel.
        return options | {"preset": "fast", "x264-params": "chromaloc=1"}

    def _exact(self):
        """So that MP4 and MOV hold the start of the video exactly, not to 1 ms."""
        if self._path.suffix.lower() not in (".mp4", ".m4v", ".mov"):
            return {}
        return {"movie_timescale": str(self._info.time_base.denominator)}

    def _close(self, kind, error, trace):
        try:
            if kind is None:
                self._finish()
        finally:
            # All is closed already if it went well.
            with contextlib.suppress(Exception):
                if self._sound:
                    self._sound.close()
                if self._container is not None:
                    self._container.close()

    def _finish(self):
        if self._stream is None:
            raise ValueError(f"{self._path}: no frames were written")
        with self._named():
            self._container.mux(self._stream.encode(None))
            if self._sound:
                self._sound.write()
            self._container.close()

    @contextlib.contextmanager
    def _named(self):
        """Says which file it was that could not be written."""
        try:
            yield
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise VideoError(f"{self._path}: cannot be written ({reason})") from error
