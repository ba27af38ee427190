"""Super-resolution trained from zero states, from a long video's own, and numbered.

Repeats Mori and Ukita, "Time-series Initialization and Conditioning for Video-agnostic
Stabilization of Video Super-Resolution using Recurrent Networks": tables IV to VI,
figures 2 to 4 and 13, and PSNR by frame as in figures 8 and 12.

    python examples/paper/initialisation.py --data CLIPS --test OTHER_CLIPS --out FOLDER

Rows: FRVSR and BasicVSR (of reduced width and depth), trained from zero states (RI;
there "randomly initialized", it is not said how), from the states of a long video (PI)
and with the frame's number as well (PI & FC); and FRVSR with states used again R times.
As there, rows compare at equal steps, not at equal cost; the cost stands beside them.
An epoch's steps are videos x R / 4.

Training: clips of 15 frames of 64x64 pixels, batches of 4 (there BasicVSR 8), out of
the 12 longest videos (T of 120 frames at most, as there; ours are shorter: the script
says their T). There 500,000 and 300,000 steps; their table IV does not say its R, here
it is 8. For R = 8 their table VI has 644 ms and 27.30, 30.66, 31.91, 30.16 dB; its R =
48 has no row here. Rates of 5e-4 for FRVSR and 1e-3 for BasicVSR (there 1e-4, and
2.5e-4 for BasicVSR's flow). FRVSR begins as bicubic enlargement, its last convolution
at zero: begun as published it fell back to that and stayed there (RI, 576 steps at
1e-3).

Measured: PSNR of Y by the evaluation room's protocol "mori", a 96x96 square of each
test clip. short: its first 32 frames (there Vid4). long: all, at most 100, of those
that have 48 or more (REDS4). static: its first frame for 300 (Quasi-Static). composit:
its first 31 forwards and backwards for 300 (Composit). BasicVSR goes through each in
one piece. "age": PSNR of a sequence's last 15 frames after a fresh start 15 frames
before them, less that of the whole run: what a long past costs. Bicubic enlargement
has a row.

A difference counts beyond 0.1 dB and beyond what two seeds of FRVSR differ by, with RI
or with PI, on those sequences. "Much" of the effect of R is beyond 0.3 dB, the range
that the paper calls almost random; faster is by a tenth of a step's time, as the
machine's speed changes between rows. Claims are the paper's: of FRVSR on long sequences
that PI changes nothing, of frame numbers where table IV gains more than 0.1 dB.
"""

import claims
import long_videos
import numpy as np
import study
from long_videos import GAMMAS, KINDS, MOTIONS, degrade
from matplotlib.figure import Figure

from stablevid_tf import data, models, training
from stablevid_tf.training.learning_curve import read

BATCH, CLIP, SIZE, LONGEST = 4, 15, 64, 120
RATES = {"frvsr": 5e-4, "basicvsr": 1e-3}
PAPER_TESTS = ("vid4", "reds4", "quasi_static", "composit")
# Architecture, reuse (0: RI), frame numbers, seed; of the paper: training ms a step and
# PSNR of Y on Vid4, REDS4, Quasi-Static, Composit (tables V and IV, Vimeo; R: VI).
ROWS = {
    "frvsr_ri": ("frvsr", 0, False, 0, 351, 27.15, 30.64, 30.43, 29.94),
    "frvsr_pi": ("frvsr", 8, False, 0, 1620, 27.36, 30.63, 31.88, 30.03),
    "frvsr_pi_fc": ("frvsr", 8, True, 0, 1621, 27.39, 30.64, 31.94, 30.27),
    "basicvsr_ri": ("basicvsr", 0, False, 0, 881, 27.95, 32.59, 23.23, 29.07),
    "basicvsr_pi": ("basicvsr", 8, False, 0, 2479, 28.25, 32.90, 31.99, 31.76),
    "basicvsr_pi_fc": ("basicvsr", 8, True, 0, 2439, 28.23, 32.91, 32.25, 31.74),
    "frvsr_ri_seed1": ("frvsr", 0, False, 1, 351, 27.15, 30.64, 30.43, 29.94),
    "frvsr_pi_seed1": ("frvsr", 8, False, 1, 1620, 27.36, 30.63, 31.88, 30.03),
    "frvsr_r2": ("frvsr", 2, False, 0, 1170, 27.37, 30.68, 31.83, 30.23),
    "frvsr_r4": ("frvsr", 4, False, 0, 832, 27.36, 30.66, 31.38, 30.09),
    "frvsr_r16": ("frvsr", 16, False, 0, 520, 27.39, 30.62, 31.71, 30.16),
    "frvsr_r32": ("frvsr", 32, False, 0, 413, 27.32, 30.63, 31.49, 30.10),
    "frvsr_r64": ("frvsr", 64, False, 0, 363, 27.37, 30.60, 31.66, 30.22),
}
parser = study.arguments(
    __doc__, steps=576, features=16, videos=12, frames=300, test_size=96
)
args = parser.parse_args()


def epoch(name):
    """Steps of an epoch; RI's are of our own choice."""
    return args.videos * (ROWS[name][1] or 8) // BATCH


for name in [name for name in ROWS if not args.rows or name in args.rows]:
    if epoch(name) < 1 or args.steps % epoch(name):
        parser.error(f"{name}: {args.steps} steps are no whole epochs of {epoch(name)}")

source = data.ClipDataset(args.data, frames=CLIP, size=SIZE, cache=study.cache(args))
videos = sorted(source.videos, key=len)[-args.videos :]
videos = [video[:LONGEST] for video in videos]
if len(videos) < args.videos:
    parser.error(f"{len(videos)} videos are large enough. Received: {args.videos=}")
print(f"T: {' '.join(str(len(video)) for video in videos)} frames")

tests = data.ClipDataset(
    args.test, frames=1, size=args.test_size, cache=study.cache(args)
).videos


def make(name):
    architecture, reuse, numbered, seed, *_ = ROWS[name]
    run = f"{args.out}/{name}"
    options = {"features": args.features}
    options |= {"blocks": 2, "flow_features": 8} if architecture == "frvsr" else {}
    options |= {"blocks": 3, "levels": 3} if architecture == "basicvsr" else {}
    options |= {"frame_number": LONGEST} if numbered else {}

    def build(dtype):
        model = models.build(architecture, dtype=dtype, **options)
        if architecture == "frvsr":
            last = model.cell.tail.kernel
            last.assign(0 * last)
        return model

    def clips(model):
        common = {"frames": CLIP, "size": SIZE, "batch_size": BATCH, "seed": seed}
        common["degrade"] = lambda clean, random: degrade.degrade(clean, random)[0]
        if reuse:
            return training.PIBPTT(model, videos, reuse=reuse, **common)
        return training.RandomInit(model, videos, steps=epoch(name), **common)

    def figures():
        model = study.trained(run, build, clips, args.steps, RATES[architecture], seed)
        epochs = list(read(f"{run}/log.csv")["seconds"].values())
        # The first is compiled in.
        also = (*MOTIONS, *GAMMAS) if name == "frvsr_ri" else ()
        found = long_videos.measure(model, tests, args.frames, args.test_size, also)
        found["parameters"] = study.parameters(model)
        return found | {"seconds": np.median(epochs[1:] or epochs) / epoch(name)}

    return study.measured(run, figures)


figures = {name: make(name) for name in study.chosen(args, ROWS)}


def mean(name, kind):
    return long_videos.mean(figures[name][kind])


table = []
for name, found in figures.items():
    architecture, reuse, numbered, seed, *paper = ROWS[name]
    row = {"row": name, "architecture": architecture, "reuse": reuse or "RI"}
    row |= {"frame_number": numbered, "seed": seed, "steps": args.steps}
    row |= {"parameters": found["parameters"], "seconds_per_step": found["seconds"]}
    base = figures.get(f"{architecture}_ri")
    row["time_over_ri"] = found["seconds"] / base["seconds"] if base else float("nan")
    row |= {f"psnr_y_{kind}_db": mean(name, kind) for kind in KINDS}
    row |= {f"age_{k}_db": mean(name, f"{k} age") for k in ("static", "composit")}
    names = ("ms_per_step", *(f"psnr_y_{test}_db" for test in PAPER_TESTS))
    row |= {f"paper_{name}": value for name, value in zip(names, paper, strict=True)}
    table.append(row)
enlarged = study.measured(
    f"{args.out}/bicubic",
    lambda: long_videos.measure(study.Bicubic(), tests, args.frames, args.test_size),
)
table.append(
    {"row": "bicubic"}
    | {f"psnr_y_{kind}_db": long_videos.mean(enlarged[kind]) for kind in KINDS}
)
study.write_table(args.out, table)


def overall(name):
    """Mean over the kinds of sequences that there are."""
    return float(np.nanmean([mean(name, kind) for kind in KINDS]))


def margin(value):
    """What does not count, dB, of a function of a row's name."""
    gaps = [0.1]
    for name in ("frvsr_ri", "frvsr_pi"):
        if name in figures and f"{name}_seed1" in figures:
            gaps.append(abs(value(name) - value(f"{name}_seed1")))
    return max(gaps)


def compare(better, worse, kind, claim, sign=1):
    if better in figures and worse in figures:
        gain = sign * (mean(better, kind) - mean(worse, kind))
        told = margin(lambda name: mean(name, kind))
        claims.judged(f"{claim}, {better} over {worse}, dB", gain, told)


for base in ("frvsr", "basicvsr"):
    ri, pi, fc = (f"{base}_{way}" for way in ("ri", "pi", "pi_fc"))
    for kind in KINDS:
        if (base, kind) != ("frvsr", "long"):
            compare(pi, ri, kind, f"PI gains on {kind} sequences")
    for kind in ("static age", "composit age"):
        compare(pi, ri, kind, f"PI loses less with age, {kind[:-4]}", sign=-1)
    kind = {"frvsr": "composit", "basicvsr": "static"}[base]
    compare(fc, pi, kind, f"frame numbers add, {kind}")
if {"frvsr_ri", "frvsr_pi"} <= figures.keys():
    gain = abs(mean("frvsr_pi", "long") - mean("frvsr_ri", "long"))
    told = margin(lambda name: mean(name, "long"))
    claims.said(
        f"PI changes nothing on long sequences, FRVSR, dB ({gain:.2f}; told beyond "
        f"{told:.2f})",
        bool(gain <= told),
    )
reuses = [name for name in ROWS if name == "frvsr_pi" or name.startswith("frvsr_r")]
reuses = [n for n in reuses if n in figures and "ri" not in n]
reuses.sort(key=lambda name: ROWS[name][1])
quality = [overall(name) for name in reuses]
times = [figures[name]["seconds"] for name in reuses]
if len(reuses) > 1:
    of = f"R of {', '.join(str(ROWS[name][1]) for name in reuses)}"
    spread, told = max(quality) - min(quality), margin(overall)
    claims.judged(f"{of} change mean PSNR by less than 0.3 dB", 0.3 - spread, told)
    gain = times[0] - times[-1]
    claims.judged(f"{of}: the last is faster, seconds a step", gain, times[0] / 10)
    if "frvsr_ri" in figures:
        gain = min(quality) - overall("frvsr_ri")
        claims.judged(f"{of}: PI is better than RI at any", gain, told)
if "frvsr_ri" in figures:
    found = figures["frvsr_ri"]
    ages = np.array(found["static age"])
    texture = [
        np.abs(np.diff(study.cut(v[0], args.test_size), axis=1)).mean() for v in tests
    ]
    by_texture, half = ages[np.argsort(texture)], len(ages) // 2
    kinds = ("static", *MOTIONS, *GAMMAS)
    costs = [np.mean(found[f"{kind} age"]) for kind in kinds]
    still, slow, fast, wide = (costs[i] for i in (0, 1, len(MOTIONS), -1))
    if half:
        gain = by_texture[-half:].mean() - by_texture[:half].mean()
        claims.judged("dense texture ages more (figure 2), dB", gain, 0.1)
    claims.judged("motion heals (figure 3), still over slow, dB", still - slow, 0.1)
    claims.judged("more motion heals more, slow over fast, dB", slow - fast, 0.1)
    claims.judged("changing light heals (figure 4), dB", still - wide, 0.1)

STYLES = {"ri": ("RI", "C3"), "pi": ("PI", "C0"), "pi_fc": ("PI & FC", "C2")}
figure = Figure(figsize=(9, 7.5), layout="constrained")
panels = figure.subplots(3, 3)
for row, base in zip(panels, ("frvsr", "basicvsr"), strict=False):
    for axes, kind in zip(row, ("long", "static", "composit"), strict=True):
        for way, (label, colour) in STYLES.items():
            curves = figures.get(f"{base}_{way}", {}).get(kind)
            if curves:
                shortest = min(len(curve) for curve in curves)
                curve = np.mean([curve[:shortest] for curve in curves], axis=0)
                number = 1 + np.arange(shortest)
                axes.plot(number, curve, colour, label=label, linewidth=0.9)
        title = {"frvsr": "FRVSR", "basicvsr": "BasicVSR"}[base]
        axes.set_title(f"{title}, {kind}", fontsize=9)
        axes.set_xlabel("frame", fontsize=8)
    row[0].set_ylabel("PSNR of Y, dB")
if panels[0, 1].lines:
    panels[0, 1].legend(frameon=False, fontsize=8)
left, middle, right = panels[2]
left.plot(times, quality, "o-", color="C0", markersize=4)
for name, *place in zip(reuses, times, quality, strict=True):
    left.annotate(f" R={ROWS[name][1]}", place, fontsize=7)
left.set_title("FRVSR, states used again", fontsize=9)
left.set_xlabel("seconds a step", fontsize=8)
left.set_ylabel("PSNR of Y, mean of four, dB", fontsize=8)
if "frvsr_ri" in figures:
    middle.plot(texture, ages, "o", color="C3", markersize=4)
    labels = ["still", *(f"{s} px" for s in MOTIONS)]
    labels += [f"g {low:g}\u2013{high:g}" for low, high in GAMMAS]
    right.bar(labels, costs, color="C3")
    right.tick_params(axis="x", rotation=45)
middle.set_title("RI, static: cost of age by texture", fontsize=9)
middle.set_xlabel("mean difference of neighbouring pixels", fontsize=8)
right.set_title("RI: cost of age by motion and light", fontsize=9)
for axes in (middle, right):
    axes.set_ylabel("dB lost to age", fontsize=8)
    # What does not count is not blown up.
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.1), max(high, 0.1))
for axes in panels.flat:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.yaxis.get_major_formatter().set_useOffset(False)
figure.savefig(f"{args.out}/figure.png", dpi=100)
print(f"Written: {args.out}/results.csv, {args.out}/figure.png")
