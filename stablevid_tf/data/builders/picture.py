import io
import struct

from av.video.reformatter import VideoReformatter
from PIL import Image

from stablevid_tf.data.images_reader import decode_image
from stablevid_tf.data.video_error import VideoError

# The eighth bytes of a PNG file are its signature; its 25th is the bits of a channel,
# its 26th the kind of colour: 2 is RGB (W3C PNG specification, 5.2 and 11.2.1).
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PLAIN = b"\x08\x02"


def picture(data, name):
    """A picture as the bytes of an RGB PNG file of 8 bits a channel.

    Such a file is kept byte by byte, after its checksums were tested; another one
    (grey, palette, 16 bits, JPEG...) is decoded as
    :func:`~stablevid_tf.data.open_video` does, and encoded.

    Args:
        data: the file's bytes.
        name: what it is called, for messages.

    Returns:
        The bytes; ``(height, width)``; what was lost, in words, or None.

    Raises:
        VideoError: it is no picture, or a damaged one.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.builders.picture import encode, picture
        >>> data = encode(np.zeros((4, 6, 3), "uint8"))
        >>> same, size, lost = picture(data, "black.png")
        >>> same == data, size, lost
        (True, (4, 6), None)
        >>> picture(data[:-20], "half.png")
        Traceback (most recent call last):
        ...
        stablevid_tf.data.video_error.VideoError: half.png: a damaged picture (...)
    """
    plain = data[:8] == _SIGNATURE and data[24:26] == _PLAIN
    try:
        with Image.open(io.BytesIO(data)) as image:
            size = image.height, image.width
            # The first tests checksums, the second decodes: FFmpeg forgives both.
            image.verify() if plain else image.load()
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        reason = str(error).split("<_io")[0].strip() or type(error).__name__
        raise VideoError(f"{name}: a damaged picture ({reason})") from error
    if plain:
        return data, size, None
    image, _, lost = decode_image(io.BytesIO(data), name, VideoReformatter())
    return encode(image), image.shape[:2], lost


def encode(image):
    """[H, W, 3] uint8 as the bytes of a PNG file; fast rather than small."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", compress_level=1)
    return file.getvalue()
