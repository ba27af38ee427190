"""What the figures of Tanay et al. share: noisy sequences, models, pictures of them.

The paper's videos are not to be had; three photographs of scikit-image stand for them:
one stands still, two are panned over by a pixel in a hundred frames.
"""

import numpy as np
import skimage.data

from stablevid_tf import zoo
from stablevid_tf.data import sequences
from stablevid_tf.models import dampened

SIGMA = 30 / 255


def clean(frames, size):
    """``{name: iterator of [size, size, 3] frames}``."""
    astronaut, coffee, cat = (
        picture.astype("float32") / 255
        for picture in (
            skimage.data.astronaut()[:200, 100:],
            skimage.data.coffee()[100:300],
            skimage.data.chelsea()[60:260, 100:],
        )
    )
    return {
        "still": sequences.still(cat[:size, :size], frames),
        "pan 1": sequences.pan(astronaut, frames, (0, 0.01), size),
        "pan 2": sequences.pan(coffee, frames, (0, 0.01), size),
    }


def noisy(frames, seed=0):
    """Frames with Gaussian noise of sigma 30 (of 255), not clipped."""
    random = np.random.default_rng(seed)
    for frame in frames:
        noise = random.standard_normal(frame.shape, "float32")
        yield frame + np.float32(SIGMA) * noise


def load(name):
    """An entry; ``NAME*1.08``: with its recurrent slices times 1.08."""
    entry, _, factor = name.partition("*")
    model = zoo.load(entry)
    return dampened(model, float(factor)) if factor else model


def psnr(restored, truth):
    """PSNR in dB of a frame, raw: a diverging model falls below 0."""
    error = np.mean((restored.astype("float64") - truth) ** 2)
    return -10 * np.log10(error) if np.isfinite(error) else -np.inf


def show(axes, frame, title=None):
    """A frame as it would be written: clipped; what is not finite in black."""
    axes.imshow(np.clip(np.nan_to_num(frame, posinf=1), 0, 1), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if title is not None:
        axes.set_title(title, fontsize=7, pad=2)
