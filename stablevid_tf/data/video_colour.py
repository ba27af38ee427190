"""Between a file's own colours and full-range RGB, both ways by the same rule.

swscale assumes BT.601 in video range whenever a frame does not say, so every
conversion here states the matrix and the range on both sides.
"""

from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation

from stablevid_tf.data.video_error import VideoError

# Numbers of ITU-T H.273, as FFmpeg uses them in frames and streams.
RGB, BT709, UNSPECIFIED, BT470BG, SMPTE170M = 0, 1, 2, 5, 6
# Those swscale has coefficients for.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
_QUALITY = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_FULL_RANGE_FORMATS = ("yuvj", "gray", "ya", "mono", "pal")


class VideoColour(NamedTuple):
    """Matrix, range, primaries and transfer curve, by their H.273 numbers.

    Attributes:
        matrix: 1 for BT.709, 5 or 6 for BT.601, 9 for BT.2020.
        range: 1 for video levels (16..235), 2 for full levels (0..255).
        primaries: 2 where the file does not say.
        transfer: 2 where the file does not say.
    """

    matrix: int
    range: int
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer curve is PQ or HLG."""
        return self.transfer in (16, 18)


def colour_of(frame, still=False):
    """The `VideoColour` of a decoded PyAV frame, guessing what it leaves open.

    A matrix that is not named is BT.709 from 720 lines up and BT.601 below,
    which is what players do; in a still image it is BT.601, as JPEG has it. RGB
    sources get the colours that an encoder should use for them: BT.709, video
    range.

    Args:
        frame: an `av.VideoFrame`.
        still: bool, whether it comes from a still image.

    Raises:
        VideoError: the frame uses a matrix that cannot be converted.
    """
    matrix, levels = int(frame.colorspace), int(frame.color_range)
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    if frame.format.is_rgb or frame.format.name == "pal8":
        matrix, levels = BT709, int(ColorRange.MPEG)
    if matrix in (RGB, UNSPECIFIED, 3):
        large = frame.height >= 720 or frame.width >= 1280
        matrix = BT709 if large and not still else SMPTE170M
    if matrix not in _MATRICES:
        raise VideoError(
            f"the colour matrix {matrix} (H.273) cannot be converted; BT.709, "
            "BT.601, BT.2020, SMPTE 240M and FCC can: convert the file first"
        )
    if levels not in (1, 2):
        full = frame.format.name.startswith(_FULL_RANGE_FORMATS)
        levels = int(ColorRange.JPEG if full else ColorRange.MPEG)
    known = [n if n not in (0, 3) else UNSPECIFIED for n in (primaries, transfer)]
    return VideoColour(matrix, levels, *known)


def to_rgb(frame, colour, reformatter):
    """A decoded PyAV frame as [H, W, 3] uint8 RGB in full range."""
    if frame.format.is_rgb or frame.format.name == "pal8":
        frame.color_range = ColorRange.JPEG
        matrix, levels = None, ColorRange.JPEG
    else:
        matrix, levels = _MATRICES[colour.matrix], colour.range
    rgb = reformatter.reformat(
        frame,
        format="rgb24",
        src_colorspace=matrix,
        src_color_range=levels,
        dst_color_range=ColorRange.JPEG,
        interpolation=_QUALITY,
    )
    return rgb.to_ndarray()


def from_rgb(image, colour, pixel_format, reformatter):
    """An [H, W, 3] uint8 RGB image as a PyAV frame in `pixel_format`."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    frame.colorspace, frame.color_range = RGB, ColorRange.JPEG
    if av.VideoFormat(pixel_format).is_rgb:
        return reformatter.reformat(
            frame, format=pixel_format, dst_color_range=ColorRange.JPEG
        )
    out = reformatter.reformat(
        frame,
        format=pixel_format,
        dst_colorspace=_MATRICES[colour.matrix],
        src_color_range=ColorRange.JPEG,
        dst_color_range=colour.range,
        interpolation=_QUALITY,
    )
    out.colorspace, out.color_range = colour.matrix, colour.range
    return out


def tag(encoder, colour, pixel_format):
    """Writes the colours on an encoder, so that its stream says them."""
    rgb = av.VideoFormat(pixel_format).is_rgb
    encoder.colorspace = RGB if rgb else colour.matrix
    encoder.color_range = ColorRange.JPEG if rgb else colour.range
    encoder.color_primaries = colour.primaries
    encoder.color_trc = colour.transfer
