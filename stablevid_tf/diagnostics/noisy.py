import numpy as np


def noisy(frame, sigma, seed):
    """A frame with Gaussian noise that depends on the seed alone; not clipped.

    Args:
        frame: float32 array in [0, 1].
        sigma: standard deviation in units of 255; None for no noise.
        seed: integer, or a tuple of them.
    """
    if sigma is None:
        return frame
    noise = np.random.default_rng(seed).standard_normal(frame.shape, "float32")
    return frame + noise * np.float32(sigma / 255)
