import numpy as np


def to_uint8(image, index):
    """A frame as [H, W, 3] uint8, clipped and rounded; grey is repeated.

    Args:
        image: [H, W, 3] or [H, W, 1], uint8, or floating in [0, 1].
        index: int, the frame's number, for messages.

    Raises:
        ValueError: another rank, or values that are not finite.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(
            f"frame {index} must be [height, width, 3 or 1]. Received: {image.shape}"
        )
    if image.dtype != np.uint8:
        if not np.isfinite(image).all():
            raise ValueError(f"frame {index} holds NaN or infinity")
        image = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.repeat(image, 3, -1) if image.shape[-1] == 1 else image
