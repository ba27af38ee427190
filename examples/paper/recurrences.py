"""Recurrences, backbones and published denoisers, at one budget.

Repeats tables 1 and 2 and figure 7 of Tanay et al., "Diagnosing and Preventing
Instabilities in Recurrent Video Processing": VDnCNN and VResNet without recurrence and
with frame-, feature-recurrence and RLSP; VResNet with windows of 3 and 7 frames, with
and without RLSP, and in both directions; DBDNet, FRVSR at scale 1, FastDVDnet; BM3D of
every frame alone (table 1 has VNLB too: cited, not run). `paper_` columns are table 1,
with what section 3.1 (of DBDNet figure 1) says of stability. The paper: 64 features,
600,000 steps, Vimeo-90k.

Every network is at `--features` / 64 of its published width, so they are NOT at equal
parameters, no more than in the paper: see the column. At 16 features FRVSR and
FastDVDnet have six times the parameters of VResNet-RLSP. Figure 7 has clips of 7 frames
and no network without window and recurrence; here it has, and `--frames` frames.

Rules of the sentences at the end: a difference in dB counts where it is larger than
the largest between two seeds of vresnet_single and vresnet_rlsp; of several, the
smallest decides. "Best" is best of table 1's rows. What is stable: see
`study.stability` and `claims.as_in_paper`.

BM3D needs the `paper` extra (pip install "stablevid-tf[paper]"); its licence allows
non-commercial use only. Without it the row is left out. At 17 s a frame of 448x256 it
restores frames 1 and 7 alone: it has no memory.

Budget: 20 trainings of 3,000 steps, batch 4 of 7 frames of 48x48, sigma 30; five to
fourteen minutes each on one core, measuring included.

    python examples/paper/recurrences.py --data CLIPS --test CLIPS --out FOLDER
"""

import dataclasses
import importlib.util
from pathlib import Path

import claims
import numpy as np
import study
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stablevid_tf import evaluation, models

SIGMA = 30
RECURRENCES = ("frame", "feat", "rlsp")
WINDOWS = ("", "_mf3", "_mf7")

FIGURE_7 = [f"vresnet_{x}{y}" for y in WINDOWS for x in ("single", "rlsp", "birlsp")]

parser = study.arguments(__doc__, steps=3000, features=16, frames=20)
args = parser.parse_args()
wide = {"features": args.features}
flow = {"flow_features": max(args.features // 2, 1)}
unet = {
    "features": max(args.features // 2, 1),
    "frame_features": args.features * 30 // 64,
}
# Row: its architecture, what it is built with, its seed.
ROWS = {
    **{f"vdncnn_{x}": (f"vdncnn_{x}", wide, 0) for x in ("single", *RECURRENCES)},
    **{f"vresnet_{x}": (f"vresnet_{x}", wide, 0) for x in ("single", *RECURRENCES)},
    **{name: (name, wide, 0) for name in FIGURE_7},
    "vresnet_single_seed1": ("vresnet_single", wide, 1),
    "vresnet_rlsp_seed1": ("vresnet_rlsp", wide, 1),
    "dbdnet": ("dbdnet", wide, 0),
    "frvsr": ("frvsr", {**wide, **flow, "scale": 1}, 0),
    "fastdvdnet": ("fastdvdnet", {**unet, "sigma": SIGMA}, 0),
    "bm3d": (None, {}, 0),
    "vnlb": (None, {}, 0),
}
# Parameters, PSNR of frames 1 and 7 and of their mean, and whether it is stable.
PAPER = {
    "bm3d": (None, 33.86, 33.83, 33.85, None),
    "vnlb": (None, 35.24, 35.17, 35.78, None),
    "fastdvdnet": (2.49e6, 35.25, 35.19, 36.05, None),
    "frvsr": (2.49e6, 34.63, 36.83, 36.24, None),
    "dbdnet": (965e3, 34.16, 35.47, 35.16, False),
    "vdncnn_frame": (375e3, 33.94, 34.84, 34.68, True),
    "vdncnn_feat": (741e3, 34.05, 35.02, 34.79, False),
    "vdncnn_rlsp": (410e3, 33.95, 34.98, 34.77, False),
    "vresnet_frame": (375e3, 34.23, 35.47, 35.21, True),
    "vresnet_feat": (557e3, 34.35, 35.74, 35.41, False),
    "vresnet_rlsp": (410e3, 34.25, 35.80, 35.42, True),
}
PAPERS = ("parameters", "psnr_frame1", "psnr_frame7", "psnr_mean", "stable")
FIRST, SEVENTH, MEAN = "psnr_rgb_frame1", "psnr_rgb_frame7", "psnr_rgb_mean"


class BM3D:
    """BM3D of frames 1 and 7, each alone, as a model; the others stay noisy."""

    name, scale, channels, latency = "bm3d", 1, 3, 0

    def initial_state(self, frame):
        return 0

    def step(self, frame, before):
        import bm3d

        if before in (0, 6):
            restored = bm3d.bm3d_rgb(np.asarray(frame[0]), SIGMA / 255)
            frame = np.float32(restored)[None]
        return frame, before + 1


def trained(name):
    architecture, settings, seed = ROWS[name]
    return study.trained(
        Path(args.out) / name,
        lambda dtype: models.build(architecture, dtype=dtype, **settings),
        lambda model: study.clips(args, seed),
        args.steps,
        seed=seed,
    )


def measure(name):
    if name == "bm3d":
        figures = evaluation.evaluate(BM3D(), args.test, "tanay").mean
        return {key: figures[key] for key in (FIRST, SEVENTH)}
    model = trained(name)
    figures = {
        "parameters": study.parameters(model),
        **evaluation.evaluate(model, args.test, "tanay").mean,
        **study.stability(model, args.test),
    }
    if name in FIGURE_7:
        longer = dataclasses.replace(
            evaluation.PROTOCOLS["tanay"], frames=args.frames, measures=(("psnr", 1),)
        )
        curves = evaluation.evaluate(model, args.test, longer).curves.values()
        curves = [curve["psnr"] for curve in curves]
        figures["curve"] = np.mean(curves, axis=0).tolist()
    return figures


found = {}
for name in study.chosen(args, ROWS):
    folder = Path(args.out) / name
    absent = name == "bm3d" and importlib.util.find_spec("bm3d") is None
    if absent and not (folder / "figures.json").exists():
        print('Without the row bm3d: pip install "stablevid-tf[paper]" for it.')
    elif name == "vnlb":
        found[name] = {}
    else:
        found[name] = study.measured(folder, lambda name=name: measure(name))
        print(f"{name}: {found[name][SEVENTH]:.2f} dB on frame 7", flush=True)
if not found:
    raise SystemExit("No row was made.")
keys = [key for key in max(found.values(), key=len, default={}) if key != "curve"]
study.write_table(
    args.out,
    [
        {"row": name}
        | {key: figures.get(key) for key in keys}
        | dict(
            zip(
                (f"paper_{key}" for key in PAPERS),
                PAPER.get(name, (None,) * 5),
                strict=True,
            )
        )
        for name, figures in found.items()
    ],
)


def get(name, column=SEVENTH):
    return found.get(name, {}).get(column)


def least(differences):
    differences = list(differences)
    return None if None in differences else min(differences)


def better(claim, pairs, column=SEVENTH):
    differences = (claims.more(found, a, b, column) for a, b in pairs)
    claims.judged(claim, least(differences), claims.spread(found, TWINS, column))


def best(name, among):
    return [(name, other) for other in among if other != name]


def burn_in(name):
    """What a row gains from frame 1 to 7, beyond what one without a state does."""
    late, early = (
        claims.more(found, name, "vresnet_single", key) for key in (SEVENTH, FIRST)
    )
    return None if late is None or early is None else late - early


TRAINED = [name for name in PAPER if ROWS[name][0]]
COMPARED = [*TRAINED, "bm3d"]
TWINS = ("vresnet_single", "vresnet_rlsp")
BACKBONES = ("vdncnn", "vresnet")
print()
better("FRVSR is best on frame 7", best("frvsr", COMPARED), SEVENTH)
better("FRVSR is the best network in the mean", best("frvsr", TRAINED), MEAN)
better("FastDVDnet is best on frame 1", best("fastdvdnet", COMPARED), FIRST)
claims.judged(
    "Recurrent models get better over the first frames",
    least(burn_in(name) for name in TRAINED if name != "fastdvdnet"),
    claims.spread(found, TWINS, SEVENTH),
)
better(
    "VResNet is better than VDnCNN with every recurrence",
    [(f"vresnet_{x}", f"vdncnn_{x}") for x in RECURRENCES],
)
better(
    "feat and RLSP are better than frame on either backbone",
    [(f"{x}_{y}", f"{x}_frame") for x in BACKBONES for y in ("feat", "rlsp")],
)
better("VResNet-RLSP is better than DBDNet", [("vresnet_rlsp", "dbdnet")])
better(
    "RLSP adds to windows of 3 and 7, mean of frames",
    [(f"vresnet_rlsp{x}", f"vresnet_single{x}") for x in WINDOWS[1:]],
    MEAN,
)
better(
    "Both directions are better than one, mean of frames",
    [(f"vresnet_birlsp{x}", f"vresnet_rlsp{x}") for x in WINDOWS],
    MEAN,
)
better(
    "All networks are better than BM3D on frame 7, by table 1",
    [(x, "bm3d") for x in TRAINED],
)
table_2 = [f"{x}_{y}" for x in BACKBONES for y in RECURRENCES]
claims.as_in_paper(
    "Three of six recurrent models are unstable",
    {name: get(name, "verdict") for name in table_2},
    {name: PAPER[name][4] for name in table_2},
    control=get("vresnet_feat", "verdict"),
)
better(
    "Frame recurrence has the shorter field, in frames",
    [(f"{x}_{y}", f"{x}_frame") for x in BACKBONES for y in ("feat", "rlsp")],
    "field_frames",
)

figure = Figure(figsize=(10, 6), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
COLOURS = {"single": "C0", "rlsp": "C2", "birlsp": "C3"}
for style, window in zip((":", "--", "-"), WINDOWS, strict=True):
    for what, colour in COLOURS.items():
        if curve := get(f"vresnet_{what}{window}", "curve"):
            at = range(1, len(curve) + 1)
            left.plot(at, curve, style, color=colour, label=f"{what}{window}")
left.set(xlabel="frame", ylabel="PSNR, dB", title="VResNet, as in figure 7")
left.xaxis.set_major_locator(MaxNLocator(integer=True))
if left.lines:
    left.legend(frameon=False, fontsize=8, ncols=3)
shown = [name for name in found if get(name) is not None]
for key, fill, label in ((FIRST, "none", "frame 1"), (SEVENTH, "full", "frame 7")):
    values = [get(name, key) for name in shown]
    right.plot(values, range(len(shown)), "oC0", fillstyle=fill, label=label)
for at, name in enumerate(shown):
    beside = [f"{count / 1e3:.0f}k"] if (count := get(name, "parameters")) else []
    beside = ", ".join([*beside, get(name, "verdict") or ""]).strip(", ")
    right.text(
        1.01, at, beside, transform=right.get_yaxis_transform(), va="center", fontsize=8
    )
right.set_yticks(range(len(shown)), shown, fontsize=8)
right.invert_yaxis()
right.set(xlabel="PSNR, dB", title="table 1; parameters, verdict")
right.legend(frameon=False, fontsize=8)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig(Path(args.out) / "figure.png", dpi=110)
print(f"Written: {args.out}/results.csv, {args.out}/figure.png")
