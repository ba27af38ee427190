"""What long videos do to super-resolution: sequences and PSNR, frame by frame.

As Mori and Ukita, "Time-series Initialization and Conditioning for Video-agnostic
Stabilization of Video Super-Resolution using Recurrent Networks", make and measure them
(sections III and VI), by the evaluation room's protocol "mori".
"""

import numpy as np
from study import cut

from stablevid_tf import metrics
from stablevid_tf.data import degradations, sequences
from stablevid_tf.evaluation import PROTOCOLS

KINDS = ("short", "long", "static", "composit")
# Figures 3 and 4: motion in small pixels a frame, and ranges of gamma.
MOTIONS, GAMMAS = (1, 2, 4), ((0.9, 1.1), (0.5, 2.0))
# Frames from which a fresh state is warm.
WARM = 15

mori = PROTOCOLS["mori"]
degrade = getattr(degradations, mori.degradation)(**mori.settings)


def played(kind, video, frames, size):
    """A sequence [T, size, size, 3] of a clip; None of one too short to be "long".

    Args:
        kind: of KINDS, MOTIONS or GAMMAS.
        video: uint8 [T, H, W, 3].
        frames: of a sequence that has no length of its own.
    """
    if kind == "short":
        return cut(video[:32], size)
    if kind == "long":
        return cut(video[:100], size) if len(video) >= 48 else None
    if kind == "static":
        made = sequences.still(cut(video[0], size), frames)
    elif kind == "composit":
        made = sequences.ping_pong(cut(video[:31], size), frames)
    elif kind in GAMMAS:
        made = sequences.gamma(cut(video[0], size), frames, *kind)
    else:
        made = sequences.pan(video[0], frames, (0, degrade.scale * kind), size)
    return np.stack([*made])


def psnr(model, clean):
    """PSNR of every frame of a sequence, restored in one piece."""
    small, _ = degrade.degrade(clean, None)
    restored = np.clip(model.predict_on_batch(small[None])[0], 0, 1)
    return np.array(metrics.psnr(restored, clean, y=mori.y))


def age(model, clean, curve):
    """PSNR of the last frames after a fresh start, less that of the whole run, dB."""
    return float(np.mean(psnr(model, clean[-2 * WARM :])[-WARM:] - curve[-WARM:]))


def mean(curves):
    """Mean over the frames of a clip, then over clips; NaN without clips."""
    values = [np.mean(curve) for curve in curves]
    return float(np.mean(values)) if values else float("nan")


def measure(model, videos, frames, size, also=()):
    """PSNR curves of every kind of sequence, and what age costs on those that may last.

    Args:
        also: MOTIONS and GAMMAS on which the cost of age is measured too.
    """
    found = {}
    for kind in (*KINDS, *also):
        curves, ages = [], []
        for video in videos:
            clean = played(kind, video, frames, size)
            if clean is not None:
                curves.append(psnr(model, clean))
            if clean is not None and kind not in ("short", "long"):
                ages.append(age(model, clean, curves[-1]))
        if kind in KINDS:
            found[kind] = [curve.tolist() for curve in curves]
        found[f"{kind} age"] = ages
    return found
