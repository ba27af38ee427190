import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.video.reformatter import VideoReformatter

from stablevid_tf.data.video_colour import colour_of, to_rgb
from stablevid_tf.data.video_error import VideoError
from stablevid_tf.data.video_frame import VideoFrame
from stablevid_tf.data.video_info import VideoInfo
from stablevid_tf.data.video_progressive import progressive
from stablevid_tf.data.video_rotation import display_matrix, upright
from stablevid_tf.data.video_truncated import missing_bytes


class VideoReader:
    """The frames of a video file, once, in the order they are shown.

    Frames come upright (the file's rotation is applied to the pixels) and as
    8-bit RGB by the file's own colour matrix and range. Interlaced and deeper
    input is converted, with a `UserWarning` that says so. Memory does not grow
    with the length of the file. A context manager; closing it early is fine.

    Args:
        path: the file, of any kind PyAV reads.
        allow_damaged: bool, read what can be decoded of a truncated or damaged
            file instead of refusing it.

    Attributes:
        info: `VideoInfo`.

    Raises:
        FileNotFoundError: nothing stands at `path`.
        VideoError: it is no video, or ends before it says it would. While
            reading: it is damaged; the message says after how many frames.

    Example:
        >>> try:
        ...     VideoReader("clip.mp4")
        ... except FileNotFoundError as error:
        ...     print(str(error).endswith("clip.mp4: no such file"))
        True
    """

    def __init__(
        self, path: str | os.PathLike[str], allow_damaged: bool = False
    ) -> None:
        self._path = Path(path).absolute()
        self._allow_damaged = allow_damaged
        self._reformatter = VideoReformatter()
        self._count, self._said_corrupt = 0, False
        self._container = self._open()
        try:
            self._stream = self._pick_stream()
            self._refuse_truncated()
            self._decoded = progressive(self._decode(), path)
            self._first = next(self._decoded, None)
            if self._first is None:
                raise VideoError(f"{path}: holds no frame that can be decoded")
            self._matrix = display_matrix(self._first)
            self._colour = colour_of(self._first)
            self.info: VideoInfo = self._describe()
            self._warn_of_losses()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[VideoFrame]:
        info, frame = self.info, self._first
        if frame is None:
            raise VideoError(f"{self._path}: already read; open it again")
        self._first, ticks = None, 1 / (info.rate * info.time_base)
        time = -1
        while frame is not None:
            # A file without times, such as raw H.264, is shown at its rate.
            known = frame.pts is not None
            time = frame.pts - info.origin if known else round(self._count * ticks)
            if frame.is_corrupt and not self._said_corrupt:
                self._said_corrupt = True
                warnings.warn(
                    f"{self._path}: frame {self._count} is damaged in the file; it "
                    "is restored as far as it could be decoded",
                    stacklevel=2,
                )
            image = to_rgb(frame, self._colour, self._reformatter)
            self._count += 1
            yield VideoFrame(upright(image, self._matrix), time, frame.duration or 0)
            frame = next(self._decoded, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._container.close()

    def _open(self):
        if not self._path.exists():
            raise FileNotFoundError(f"{self._path}: no such file")
        try:
            return av.open(str(self._path), metadata_errors="replace")
        except av.FFmpegError as error:
            raise VideoError(
                f"{self._path}: not a video that can be read ({error.strerror}); "
                "give a video file, a folder of images or a quoted pattern"
            ) from error

    def _pick_stream(self):
        stream = self._container.streams.best("video")
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            raise VideoError(f"{self._path}: holds no video stream")
        if stream.codec_context is None:
            raise VideoError(f"{self._path}: its video codec is not known here")
        stream.thread_type = "AUTO"
        return stream

    def _refuse_truncated(self):
        missing = missing_bytes(self._path, self._container)
        if missing and not self._allow_damaged:
            raise VideoError(
                f"{self._path}: truncated, at least {missing} bytes are missing at "
                "its end; get the whole file, or allow damaged input to restore "
                "what is there"
            )

    def _decode(self):
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except av.FFmpegError as error:
                if not self._allow_damaged:
                    raise VideoError(
                        f"{self._path}: damaged after {self._count} frames "
                        f"({error.strerror}); get a sound copy, or allow damaged "
                        "input to restore what can be decoded"
                    ) from error
                continue
            yield from frames

    def _describe(self):
        frame, stream, container = self._first, self._stream, self._container
        turned = self._matrix is not None and self._matrix[0, 0] == 0
        size = (frame.height, frame.width) if turned else (frame.width, frame.height)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        frames = stream.frames
        if not frames and container.duration:
            frames = round(container.duration * rate / av.time_base)
        aspect = stream.sample_aspect_ratio or None
        # Broadcast streams start at any hour; every other file means its times.
        shifted = container.format.name in ("mpegts", "mpeg")
        start = Fraction(container.start_time or 0, av.time_base) if shifted else 0
        return VideoInfo(
            width=size[0],
            height=size[1],
            frames=frames or None,
            rate=rate,
            time_base=stream.time_base,
            aspect=1 / aspect if aspect and turned else aspect,
            colour=self._colour,
            chroma=_chroma(frame.format),
            sound=self._path if container.streams.audio else None,
            origin=round(start / stream.time_base),
        )

    def _warn_of_losses(self):
        bits = max(c.bits for c in self._first.format.components)
        if bits > 8:
            curve = " and HDR" if self._colour.is_hdr else ""
            warnings.warn(
                f"{self._path}: {bits}-bit{curve} video is converted to 8 bits",
                stacklevel=3,
            )
        if self._container.streams.subtitles:
            warnings.warn(f"{self._path}: subtitles are left behind", stacklevel=3)


def _chroma(pixel_format):
    """How finely `pixel_format` samples colour, rounded up to 420, 422 or 444."""
    if pixel_format.is_rgb or len(pixel_format.components) < 3:
        return "444"
    across = 1 / Fraction(pixel_format.chroma_width(64), 64)
    down = 1 / Fraction(pixel_format.chroma_height(64), 64)
    return {(2, 2): "420", (2, 1): "422"}.get((across, down), "444")
