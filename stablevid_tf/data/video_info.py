from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from stablevid_tf.data.video_colour import VideoColour


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself besides its pixels.

    Attributes:
        width, height: pixels, after any rotation the file asks for.
        frames: int or None, the frame count the file claims; an estimate.
        rate: Fraction, average frames per second.
        time_base: Fraction, seconds per unit of `VideoFrame.time`.
        aspect: Fraction or None, the width of a pixel over its height.
        colour: VideoColour, the matrix, range, primaries and transfer curve.
        chroma: "420", "422" or "444", how finely colour is sampled.
        sound: Path or None, the file to copy sound from.
        origin: int, subtracted from the file's own times, which in some
            containers start anywhere.
    """

    width: int
    height: int
    frames: int | None
    rate: Fraction
    time_base: Fraction
    aspect: Fraction | None
    colour: VideoColour
    chroma: str = "444"
    sound: Path | None = None
    origin: int = 0
