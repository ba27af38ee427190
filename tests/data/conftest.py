"""Small clips made with PyAV and NumPy alone: nothing of ours takes part."""

from fractions import Fraction

import av
import numpy as np
import pytest

# Kr and Kb of ITU-T H.273, table 4.
LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def patches(height=64, width=64, seed=0, cell=16):
    """[H, W, 3] uint8 of flat squares, the primaries among them."""
    rows, columns = -(-height // cell), -(-width // cell)
    colours = np.random.default_rng(seed).integers(0, 256, (rows * columns, 3))
    fixed = [[0, 0, 0], [255] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    colours[: len(fixed)] = fixed[: rows * columns]
    grid = colours.reshape(rows, columns, 3).repeat(cell, 0).repeat(cell, 1)
    return grid[:height, :width].astype(np.uint8)


def moving(count, height=64, width=64):
    """`count` frames that all differ: patches that roll to the right."""
    return [np.roll(patches(height, width), 4 * t, axis=1) for t in range(count)]


def to_yuv(image, matrix, levels):
    """[H, W, 3] uint8 RGB to float Y, Cb, Cr by the equations of H.273."""
    kr, kb = LUMA[matrix]
    red, green, blue = np.moveaxis(image.astype(float) / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    if levels == 2:
        return np.stack([255 * luma, 255 * cb + 128, 255 * cr + 128])
    return np.stack([219 * luma + 16, 224 * cb + 128, 224 * cr + 128])


def planes(frame):
    """The planes of a PyAV frame of 8 bits, as they are stored."""
    return [
        np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width]
        for p in frame.planes
    ]


def make_clip(
    path,
    images,
    matrix=6,
    levels=1,
    tagged=True,
    pixel_format="yuv444p",
    codec="libx264",
    times=None,
    time_base=Fraction(1, 25),
    rate=25,
    options=None,
    rotation=None,
    sound=None,
    interlaced=False,
):
    """Writes a lossless clip whose YUV values NumPy computed."""
    # Without this an MP4 holds its start to the millisecond only.
    exact = {"movie_timescale": "12800"} if str(path).endswith(".mp4") else {}
    with av.open(str(path), "w", options=exact) as container:
        options = {"qp": "0", "bf": "2", **(options or {})} if options != {} else {}
        stream = container.add_stream(codec, rate=rate, options=options)
        height, width = images[0].shape[:2]
        stream.height, stream.width, stream.pix_fmt = height, width, pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        if tagged:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = levels
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        if sound:
            audio = container.add_stream(sound, rate=48000, layout="stereo")
            for start in range(0, 48000 * len(images) // int(rate), 1024):
                wave = np.sin(np.arange(start, start + 1024) / 20)
                piece = av.AudioFrame.from_ndarray(
                    np.stack([wave, wave]).astype(np.float32), "fltp", "stereo"
                )
                piece.sample_rate, piece.pts = 48000, start
                piece.time_base = Fraction(1, 48000)
                container.mux(audio.encode(piece))
        for index, image in enumerate(images):
            yuv = np.rint(to_yuv(image, matrix, levels)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(yuv, "yuv444p")
            frame.colorspace, frame.color_range = matrix, levels
            frame.pts = times[index] if times else index
            frame.time_base = time_base
            container.mux(
                stream.encode(
                    frame.reformat(format=pixel_format)
                    if pixel_format != "yuv444p"
                    else frame
                )
            )
        container.mux(stream.encode(None))
        if sound:
            container.mux(audio.encode(None))
    return path


@pytest.fixture
def clips():
    """The functions above, as attributes."""

    class Clips:
        make = staticmethod(make_clip)
        moving = staticmethod(moving)
        patches = staticmethod(patches)
        planes = staticmethod(planes)
        to_yuv = staticmethod(to_yuv)

    return Clips
