"""An unstable model in operation: bursts, dampening, and what scene changes do.

Repeats Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
Processing", appendices E, F and H: figures 9, 10 and 12 (with PSNR of table 7).

    python examples/paper/operation.py --data CLIPS --test OTHER_CLIPS --out FOLDER

Noise of sigma 30, PSNR in RGB, not clipped before it is measured.

Figure 9: VResNet-feat (16 features, 1,000 steps, 7 frames of 48x48; there 64, 600,000,
64x64) run in bursts of 10; two of half the multiply-adds in overlapping bursts; its
twin under SRN-C(2, 0.1) as it is. On the three longest test clips, 64x64 of their
middle, played forwards and backwards for 700 frames.

Figure 10: the zoo's vresnet_rlsp_still_unstable (there VResNet-feat), which drifts by
itself, with its memory dampened, over 700 frames of the photographs of scenes.py.

Figure 12: the same entry with its recurrent slices times 1.08, without which it does
not diverge; ten sequences of 512 frames (there a hundred of 2,048) of n still pictures,
48x48 squares of first frames of the test clips. Beside it, on no claim of the paper,
the entry as it is across a cut at frame 100, with streaming.Guard and without.

A difference counts beyond 0.1 dB, or beyond 10 frames of an onset; a sequence without a
divergence counts as one whose onset is its length.
"""

import itertools
from functools import partial

import claims
import numpy as np
import scenes
import study
from matplotlib.figure import Figure

from stablevid_tf import data, diagnostics, models, streaming
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import sequences

ENTRY, FACTOR = "vresnet_rlsp_still_unstable", 1.08
STRONG = SRNC(alpha=2.0, beta=0.1, where="all")
# Of figure 9: share of the multiply-adds, constraint, strategy, models run.
WAYS = {
    "as_it_is": (1, None, None, 1),
    "bursts": (1, None, streaming.Burst(10), 1),
    "overlap_of_halves": (0.5, None, streaming.Overlap(10), 2),
    "srnc": (1, STRONG, None, 1),
}
# Of figure 10 (0.55: of table 7): the paper's PSNR of frame 7, deciles of the onsets.
FACTORS = {
    1.0: (35.74, 29, 75),
    0.95: (35.31, 30, 93),
    0.85: (34.93, 38, 257),
    0.55: (34.62, np.inf, np.inf),
    0.0: (34.32, np.inf, np.inf),
}
# Of figure 12: still pictures in a sequence.
COUNTS = (1, 2, 8, 32, 128, 512)
ROWS = [
    *WAYS,
    *(f"dampened_{factor:g}" for factor in FACTORS),
    *(f"pictures_{count}" for count in COUNTS),
    "cut",
    "cut_guarded",
]
COLUMNS = (
    "figure", "row", "frames", "models_run", "multiply_adds_per_pixel",
    "psnr_rgb_frame7_db", "psnr_rgb_mean_db", "psnr_rgb_last100_db",
    "psnr_from_frame_to_frame_db", "divergences", "onset_decile1_frames",
    "onset_decile9_frames", "paper_psnr_frame7_db", "paper_onset_decile1_frames",
    "paper_onset_decile9_frames",
)  # fmt: skip

parser = study.arguments(__doc__, steps=1000, features=16, frames=700, stills=512)
args = parser.parse_args()
if args.stills < COUNTS[-1] and not args.rows:
    parser.error(f"--stills: {COUNTS[-1]} or more. Received: {args.stills}")
tests = data.ClipDataset(args.test, frames=1, size=64, cache=study.cache(args)).videos


def psnr(model, strategy, clean):
    """PSNR of every frame of a sequence, noisy and restored."""
    seen, truth = itertools.tee(clean)
    restored = streaming.restore(model, scenes.noisy(seen), strategy=strategy)
    return [scenes.psnr(*pair) for pair in zip(restored, truth, strict=True)]


def burst_row(name):
    share, constraint, strategy, count = WAYS[name]
    features = round(args.features * share**0.5)
    options = {"features": features, "constraint": constraint}

    def build(dtype):
        return models.build("vresnet_feat", dtype=dtype, **options)

    clips = study.clips(args, seed=0)
    kind = "half" if share < 1 else "srnc" if constraint else "full"
    model = study.trained(f"{args.out}/{kind}", build, clips, args.steps)
    curves = []
    for video in sorted(tests, key=len)[-3:]:
        clean = sequences.ping_pong(study.cut(video, 64), args.frames)
        curves.append(psnr(model, strategy, clean))
    operations = models.describe("vresnet_feat", **options).operations
    return {"curves": curves, "models_run": count, "operations": count * operations}


def dampened_row(name):
    factor = float(name.split("_")[1])
    model, strategy = scenes.load(ENTRY), streaming.Dampen(factor)
    clean = scenes.clean(args.frames, 64)
    return {"curves": [psnr(model, strategy, frames) for frames in clean.values()]}


def pictures_row(name):
    count, random = int(name.split("_")[1]), np.random.default_rng(0)

    def pictures():
        for _ in range(count):
            video = tests[random.integers(len(tests))]
            top, left = (random.integers(side - 47) for side in video.shape[1:3])
            yield video[0, top : top + 48, left : left + 48]

    videos = [sequences.stills([*pictures()], args.stills) for _ in range(10)]
    frames = (np.stack(batch) for batch in zip(*videos, strict=True))
    run = diagnostics.long_run(scenes.load(f"{ENTRY}*{FACTOR}"), frames, sigma=30)
    # Of each sequence its first, or its length.
    first = {int(s): int(f) + 1 for f, s in reversed(run.events.tolist())}
    onsets = [first.get(number, args.stills) for number in range(10)]
    return {"onsets": onsets, "divergences": len(run.onsets), "deciles": run.deciles}


def cut_row(name):
    strategy = "guard" if name == "cut_guarded" else None
    before, after = (
        itertools.islice(scenes.clean(200, 64)[scene], 100)
        for scene in ("still", "pan 2")
    )
    model = scenes.load(ENTRY)
    return {"curves": [psnr(model, strategy, itertools.chain(before, after))]}


kinds = dict.fromkeys(WAYS, burst_row)
kinds |= {"dampened": dampened_row, "pictures": pictures_row, "cut": cut_row}
figures = {}
for name in study.chosen(args, ROWS):
    row_of = kinds.get(name) or kinds[name.split("_")[0]]
    figures[name] = study.measured(f"{args.out}/{name}", partial(row_of, name))

table = []
for name, found in figures.items():
    number = 9 if name in WAYS else 10 if "dampened" in name else 12
    # A cut is no figure of the paper.
    number = "" if name.startswith("cut") else number
    row = dict.fromkeys(COLUMNS, "") | {"figure": number, "row": name}
    row["models_run"] = found.get("models_run", 1)
    row["multiply_adds_per_pixel"] = found.get("operations", "")
    if "curves" in found:
        curves = np.array(found["curves"])
        row |= {"frames": curves.shape[1], "psnr_rgb_mean_db": curves.mean()}
        row["psnr_rgb_frame7_db"] = curves[:, 6].mean()
        row["psnr_rgb_last100_db"] = curves[:, -100:].mean()
        row["psnr_from_frame_to_frame_db"] = np.abs(np.diff(curves)).mean()
    else:
        row |= {"frames": args.stills, "divergences": found["divergences"]}
        row["onset_decile1_frames"], row["onset_decile9_frames"] = found["deciles"]
    if number == 10:
        paper = FACTORS[float(name.split("_")[1])]
        row |= dict(zip(COLUMNS[-3:], paper, strict=True))
    table.append(row)
study.write_table(args.out, table)

values = {row["row"]: row for row in table}


def compare(claim, more, less, column, margin=0.1):
    """Tells a claim that one row has more of something than another."""
    if more in values and less in values:
        gain = values[more][column] - values[less][column]
        claims.judged(f"{claim}: {more} over {less}", gain, margin)


FALL, MEAN, EARLY = COLUMNS[8], COLUMNS[6], COLUMNS[5]
compare("figure 9, bursts fluctuate, dB a frame", "bursts", "srnc", FALL)
compare("overlap mends that", "bursts", "overlap_of_halves", FALL)
compare("SRN-C is better on average, dB", "srnc", "bursts", MEAN)
compare("SRN-C is better on average, dB", "srnc", "overlap_of_halves", MEAN)
late = {name: np.array(f["curves"])[:, -100:].mean(axis=1).min()
        for name, f in figures.items() if name.startswith("dampened")}  # fmt: skip
if {"dampened_1", "dampened_0.55"} <= late.keys():
    gain = late["dampened_0.55"] - late["dampened_1"]
    claims.judged("table 7, 0.55 saves the worst sequence, dB", gain, 0.1)
compare("its price on the 7th frame, dB", "dampened_1", "dampened_0.55", EARLY)
onsets = {n: f["onsets"] for n, f in figures.items() if "onsets" in f}
first, last = f"pictures_{COUNTS[0]}", f"pictures_{COUNTS[-1]}"
if {first, last} <= onsets.keys():
    gain = np.median(onsets[last]) - np.median(onsets[first])
    claims.judged("figure 12, scene changes put instability off, frames", gain, 10)
if {"cut", "cut_guarded"} <= figures.keys():
    with_guard, without = (
        np.mean(figures[name]["curves"][0][100:110]) for name in ("cut_guarded", "cut")
    )
    gain = with_guard - without
    claims.judged("ours: the guard gains in the 10 frames after a cut, dB", gain, 0.1)

figure = Figure(figsize=(9, 6.5), layout="constrained")
panels = figure.subplots(2, 2)


def draw(axes, names, part=slice(None), which=0):
    for name in [name for name in names if name in figures]:
        curve = np.maximum(figures[name]["curves"][which], 0)
        frame = np.arange(len(curve))[part]
        axes.plot(frame, curve[part], label=name.replace("_", " "), linewidth=0.9)
    axes.set(xlabel="frame", ylabel="PSNR, dB")


draw(panels[0, 0], WAYS, slice(-60, None), which=-1)
panels[0, 0].set_title("figure 9: bursts, last frames", fontsize=9)
draw(panels[0, 1], [n for n in ROWS if n.startswith("dampened")], which=-1)
panels[0, 1].set_title("figure 10: dampened memory, pan 2", fontsize=9)
draw(panels[1, 1], ("cut", "cut_guarded"), slice(80, 140))
panels[1, 1].set_title("a cut at frame 100", fontsize=9)
for number, count in enumerate(COUNTS):
    if f"pictures_{count}" in onsets:
        points = onsets[f"pictures_{count}"]
        place = number + np.linspace(-0.2, 0.2, len(points))
        panels[1, 0].plot(place, points, "o", color="C0", markersize=3)
panels[1, 0].set_xticks(range(len(COUNTS)), COUNTS)
panels[1, 0].set(xlabel="still pictures in the sequence", ylabel="first divergence")
panels[1, 0].set_title("figure 12: onset by scene changes", fontsize=9)
for axes in panels.flat:
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7)
figure.savefig(f"{args.out}/figure.png", dpi=100)
print(f"Written: {args.out}/results.csv, {args.out}/figure.png")
