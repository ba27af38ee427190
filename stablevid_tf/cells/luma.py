"""Networks that restore luma alone: Y in, Y out, colour by interpolation.

RGB is in [0, 1]; Y, Cb, Cr in the 8-bit studio range of BT.601 (16...235, 16...240),
not rounded::

    [Y, Cb, Cr] = [R, G, B] M + [16, 128, 128],  RGB in 0...255
"""

import numpy as np
from keras import ops

from stablevid_tf.layers.bicubic import enlarge

_TO_YCBCR = (
    np.array(
        [
            [65.738, -37.945, 112.439],
            [129.057, -74.494, -94.154],
            [25.064, 112.439, -18.285],
        ]
    )
    / 256
)
_OFFSET = np.array([16.0, 128.0, 128.0])
_TO_RGB = np.linalg.inv(_TO_YCBCR)


def ycbcr(rgb):
    """[..., 3] in [0, 1] -> Y, Cb, Cr [..., 3]."""
    return ops.matmul(255.0 * rgb, _TO_YCBCR.astype("float32")) + _OFFSET.astype(
        "float32"
    )


def with_colour(y, frame, scale):
    """RGB of a restored luma, its colour from the frame, bicubic (Keys, a = -1/2).

    Args:
        y: [B, scale * H, scale * W, 1].
        frame: [B, H, W, 3] in [0, 1].

    Returns:
        [B, scale * H, scale * W, 3] in [0, 1], not clipped.
    """
    colour = enlarge(ycbcr(frame)[..., 1:], scale)
    centred = ops.concatenate([y, colour], axis=-1) - _OFFSET.astype("float32")
    return ops.matmul(centred, _TO_RGB.astype("float32")) / 255.0
