"""Figure 1: on a long video an unstable recurrent denoiser fails, and its twins do not.

PSNR of every frame of three noisy sequences (sigma 30) for one model without constraint
and its twins of the same training: the soft constraint, the hard one, the loop alone.
The model without one fails when provoked, not by itself; times 1.08 on its recurrent
slices it fails on ordinary video, and so every model is run with that factor too.
After Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
Processing", figure 1 (there: DBDNet, trained for 600,000 steps, by itself).

    python examples/paper/figure_1.py [--frames 1600 --size 64 --out figure_1.png]
"""

import argparse

import numpy as np
import scenes
from matplotlib.figure import Figure

from stablevid_tf import streaming

FAMILY = {
    "vresnet_rlsp_still_unstable": ("no constraint", "C3"),
    "vresnet_rlsp_still_soft": ("soft, SRN-C(2, 0.1)", "C0"),
    "vresnet_rlsp_still_hard": ("hard, SRN-C(1, 1)", "C2"),
    "vresnet_rlsp_still_loop": ("loop below 0.95", "C1"),
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="figure_1.png")
parser.add_argument("--frames", type=int, default=1600)
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--factor", type=float, default=1.08)
args = parser.parse_args()

figure = Figure(figsize=(9, 5), layout="constrained")
titles = list(scenes.clean(1, args.size))
panels = figure.subplots(2, len(titles), sharex=True, sharey="row")
for row, factor in zip(panels, (1, args.factor), strict=True):
    for entry, (label, colour) in FAMILY.items():
        model = scenes.load(entry if factor == 1 else f"{entry}*{factor}")
        for axes, title in zip(row, titles, strict=True):
            truth = scenes.clean(args.frames, args.size)[title]
            noisy = scenes.noisy(scenes.clean(args.frames, args.size)[title])
            pairs = zip(streaming.restore(model, noisy), truth, strict=True)
            quality = np.array([scenes.psnr(*pair) for pair in pairs])
            failed = np.flatnonzero(quality < 0)
            when = f"fails at {failed[0]:,}" if len(failed) else "does not fail"
            print(
                f"{entry} x {factor:g}, {title}: {quality[6]:.2f} dB at frame 6, "
                f"{quality[-1]:.2f} dB at the last; {when}",
                flush=True,
            )
            axes.plot(np.maximum(quality, 0), color=colour, label=label, linewidth=0.7)
            axes.spines[["top", "right"]].set_visible(False)
            what = "as trained" if factor == 1 else f"recurrent slices x {factor:g}"
            axes.set_title(f"{title}, {what}", fontsize=9)
    # Once all is drawn: it ends the choice of the upper limit.
    row[0].set_ylim(bottom=0)
    row[0].set_ylabel("PSNR, dB")
for axes in panels[1]:
    axes.set_xlabel("frame")
panels[0, 0].legend(frameon=False, fontsize=8)
figure.savefig(args.out, dpi=150)
print(f"Written: {args.out}")
