import io
from typing import Any

import av
import keras
import numpy as np
from av.video.reformatter import VideoReformatter

from stablevid_tf.data.degradations.degradation import (
    Degradation,
    check_clip,
)
from stablevid_tf.data.images_convert import to_uint8
from stablevid_tf.data.video_colour import (
    SMPTE170M,
    VideoColour,
    colour_of,
    from_rgb,
    to_rgb,
)

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")
_RATE = 25
# swscale halves chroma between the pixels it is made of: said in the stream
# (chromaloc), or it is read as half a pixel further left. x265 makes its own threads
# (pools); its weighted prediction (4.2) reads memory that it has not written.
_ENCODERS = {
    "h264": ("libx264", "x264-params", "chromaloc=1"),
    "hevc": (
        "libx265",
        "x265-params",
        "chromaloc=1:pools=none:frame-threads=1:no-weightp=1:log-level=none",
    ),
}


def h264(clip: np.ndarray, crf: int = 28, preset: str = "medium") -> np.ndarray:
    """A clip compressed by H.264 (x264) and read again.

    8 bits, BT.601 in video range, 4:2:0 where both sides are even and 4:4:4 where not;
    25 frames a second, which x264's rate control looks at, in one thread: the same
    clip always gives the same frames (of one build of x264).

    Args:
        clip: [T, H, W, 3 or 1] in [0, 1], at least 16 pixels a side.
        crf: quality, an integer from 0 (best) to 51.
        preset: x264's, from "ultrafast" to "slow".

    Returns:
        float32 [T, H, W, 3 or 1] in [0, 1].

    Raises:
        ValueError: an argument outside its range, or other channels or sizes.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import degradations
        >>> degradations.h264(np.full((3, 32, 48, 3), 0.5), crf=35).shape
        (3, 32, 48, 3)
    """
    check_clip(clip)
    _check(crf, crf, preset)
    if clip.shape[-1] not in (1, 3) or min(clip.shape[1:3]) < 16:
        raise ValueError(
            "H.264 takes RGB or grey frames of at least 16 pixels a side. "
            f"Received: a clip of shape {clip.shape}"
        )
    frames = coded(clip, "h264", crf, preset)
    # A grey clip stays so.
    return frames[..., :1] if clip.shape[-1] == 1 else frames


@keras.saving.register_keras_serializable(package="stablevid_tf")
class H264(Degradation):
    """:func:`h264` as a preprocessing layer; the target is the clean clip.

    Args:
        crf: an integer from 0 (best) to 51, or ``(low, high)``, both included, to
            draw one for each clip.
        preset: x264's.
        seed, **kwargs: as for :class:`Degradation`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import H264
        >>> coded, clean = H264(crf=(23, 37))(np.zeros((3, 32, 32, 3)))
        >>> coded.shape
        (3, 32, 32, 3)
    """

    def __init__(
        self,
        crf: int | tuple[int, int] = 28,
        preset: str = "medium",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        low, *middle, high = (crf, crf) if np.isscalar(crf) else crf
        if middle:
            raise ValueError(f"crf is one number or (low, high). Received: {crf!r}")
        _check(low, high, preset)
        self.crf = (low, high)
        self.preset = preset

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.crf
        crf = low if low == high else int(random.integers(low, high + 1))
        return h264(clip, crf, self.preset), clip

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"crf": list(self.crf), "preset": self.preset}


def check_crf(low, high):
    """Refuses what is not a range of constant rate factors."""
    whole = all(isinstance(x, int) and not isinstance(x, bool) for x in (low, high))
    if not whole or not 0 <= low <= high <= 51:
        received = low if low == high else (low, high)
        raise ValueError(
            "crf is an integer from 0 (best) to 51, or (low, high). "
            f"Received: {received!r}"
        )


def _check(low, high, preset):
    check_crf(low, high)
    if preset not in PRESETS:
        raise ValueError(f"preset is one of {PRESETS}. Received: {preset!r}")


def coded(clip, codec, crf, preset, parameters=()):
    """A clip compressed by H.264 (x264) or HEVC (x265) and read again, unchecked.

    The settings of `h264`, which hold for both: 8 bits, BT.601 in video range, 4:2:0
    where both sides are even and 4:4:4 where not, one thread.

    Args:
        clip: [T, H, W, 3 or 1] in [0, 1].
        codec: "h264" or "hevc".
        crf: an integer from 0 (best) to 51. The scale depends on the codec.
        preset: "ultrafast" to "slow".
        parameters: further ones of the encoder, such as `["mbtree=0"]`.

    Returns:
        float32 [T, H, W, 3] in [0, 1].

    Raises:
        ValueError: PyAV was built without the encoder.
    """
    encoder = _ENCODERS[codec][0]
    if encoder not in av.codecs_available:
        raise ValueError(
            f"This build of PyAV has no encoder {encoder}. Use another codec, or the "
            f"wheel of PyAV on PyPI. Received: codec={codec!r}"
        )
    return _decoded(_encoded(clip, codec, crf, preset, parameters))


def _encoded(clip, codec, crf, preset, parameters):
    height, width = clip.shape[1:3]
    colour = VideoColour(SMPTE170M, 1)
    file, reformatter = io.BytesIO(), VideoReformatter()
    with av.open(file, "w", format="matroska") as container:
        encoder, option, always = _ENCODERS[codec]
        options = {"crf": str(crf), "preset": preset}
        options[option] = ":".join([always, *parameters])
        stream = container.add_stream(encoder, rate=_RATE, options=options)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        # With more threads the bits depend on how many.
        stream.codec_context.thread_count = 1
        for time, image in enumerate(clip):
            pixels = to_uint8(image, time)
            frame = from_rgb(pixels, colour, stream.pix_fmt, reformatter)
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    return file


def _decoded(file):
    reformatter = VideoReformatter()
    with av.open(file) as container:
        images = [
            to_rgb(frame, colour_of(frame)._replace(matrix=SMPTE170M), reformatter)
            for frame in container.decode(video=0)
        ]
    return np.stack(images).astype("float32") / 255
