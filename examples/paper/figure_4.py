"""Figure 4: what the constraint does to the picture, early and late in a video.

A noisy sequence (sigma 30), restored by a model without constraint and by its twins:
the 7th frame, on which they were trained, and a late one; PSNR under each. Models with
a factor are run with their recurrent slices times it.
After Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
Processing", figure 4.

    python examples/paper/figure_4.py [--late 1000 --size 128 --out figure_4.png]
"""

import argparse

import scenes
from matplotlib.figure import Figure

from stablevid_tf import streaming

MODELS = {
    "no constraint": "vresnet_rlsp_still_unstable",
    "no constraint,\nrecurrent slices x 1.08": "vresnet_rlsp_still_unstable*1.08",
    "soft, SRN-C(2, 0.1)": "vresnet_rlsp_still_soft",
    "hard, SRN-C(1, 1)": "vresnet_rlsp_still_hard",
    "loop below 0.95": "vresnet_rlsp_still_loop",
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="figure_4.png")
parser.add_argument("--late", type=int, default=1000, help="the late frame")
parser.add_argument("--size", type=int, default=128)
parser.add_argument("--sequence", default="pan 2")
args = parser.parse_args()

WANTED = (6, args.late)


def pick(frames):
    """The frames wanted."""
    return [frame for t, frame in enumerate(frames) if t in WANTED]


def sequence():
    return scenes.clean(args.late + 1, args.size)[args.sequence]


truth = pick(sequence())
shown = {"truth": truth, "noisy": pick(scenes.noisy(sequence()))}
for title, name in MODELS.items():
    noisy = scenes.noisy(sequence())
    shown[title] = pick(streaming.restore(scenes.load(name), noisy))

figure = Figure(figsize=(1.5 * len(shown), 3.7), layout="constrained")
panels = figure.subplots(2, len(shown))
for column, (title, frames) in zip(panels.T, shown.items(), strict=True):
    for axes, frame, clean, t in zip(column, frames, truth, WANTED, strict=True):
        scenes.show(axes, frame, title if t == WANTED[0] else None)
        label = f"frame {t + 1:,}"
        if frame is not clean:
            quality = scenes.psnr(frame, clean)
            label = f"{quality:.2f} dB" if quality > 0 else "diverged"
            print(f"{title!r}, frame {t + 1:,}: {label}")
        axes.set_xlabel(label, fontsize=7)
figure.savefig(args.out, dpi=110)
print(f"Written: {args.out}")
