"""Figure 6: the pattern of an instability, from where it is born to the whole frame.

Restored frames of three noisy sequences by an unstable model (its recurrent slices
times a factor, since at our budget none fails unprovoked): the 7th, and the first ones
2, 5, 10, 20 and 40 dB below the best. After Tanay et al., "Diagnosing and Preventing
Instabilities in Recurrent Video Processing", figure 6.

    python examples/paper/figure_6.py [--model vresnet_rlsp_still_unstable*1.08
        --frames 1600 --size 128 --out figure_6.png]
"""

import argparse

import scenes
from matplotlib.figure import Figure

from stablevid_tf import streaming

FALLS = (2, 5, 10, 20, 40)

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="figure_6.png")
parser.add_argument("--model", default="vresnet_rlsp_still_unstable*1.08")
parser.add_argument("--frames", type=int, default=1600)
parser.add_argument("--size", type=int, default=128)
args = parser.parse_args()

model = scenes.load(args.model)
figure = Figure(figsize=(1.6 * (1 + len(FALLS)), 5.4), layout="constrained")
titles = list(scenes.clean(1, args.size))
panels = figure.subplots(len(titles), 1 + len(FALLS))
for row, title in zip(panels, titles, strict=True):
    truth = scenes.clean(args.frames, args.size)[title]
    noisy = scenes.noisy(scenes.clean(args.frames, args.size)[title])
    shown, best = [], 0.0
    for t, (out, clean) in enumerate(
        zip(streaming.restore(model, noisy), truth, strict=False)
    ):
        quality = scenes.psnr(out, clean)
        if t == 6:
            shown.append((t, out, quality))
        best = max(best, quality)
        if len(shown) == 1 + len(FALLS):
            break
        if t > 6 and best - quality >= FALLS[len(shown) - 1]:
            shown.append((t, out, quality))
    print(title, [f"frame {t + 1:,}: {quality:.2f} dB" for t, _, quality in shown])
    for axes, (t, out, quality) in zip(row, shown, strict=False):
        scenes.show(axes, out)
        axes.set_xlabel(f"frame {t + 1:,}: {quality:.1f} dB", fontsize=7)
    for axes in row[len(shown) :]:
        axes.set_axis_off()
    row[0].set_ylabel(title, fontsize=8)
figure.savefig(args.out, dpi=200)
print(f"Written: {args.out}")
