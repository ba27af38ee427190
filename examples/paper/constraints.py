"""What stability costs: VResNet-feat under every constraint, at one budget.

Repeats tables 3, 4, 6 and 7 of Tanay et al., "Diagnosing and Preventing Instabilities
in Recurrent Video Processing": no constraint; SRN (norm of the reshaped kernel); SRN-C
with alpha 0.5 to 3 and beta 1 to 0.025 on every convolution; the state of the trained
model dampened by lambda. Beside them, of our own: the feedback loops alone held below
gain 0.95, and the algorithm as it is printed in the paper (every other SRN-C row
projects; see SRNC's `decomposition`). `paper_` columns are the paper's (none: table 1
and section 3.2; its lambda of 0.45 has no row); 64 features, 600,000 steps, Vimeo-90k.

Verdicts: `study.stability` (it counts a drift as a failure too, which the paper does
not). Rules of the sentences at the end: a difference in dB (or in frames) counts
where it is larger than the largest between two seeds of none, soft, hard and loop; a
norm is held where it is within 5 %; what is stable: `claims.as_in_paper`. Head and tail
have three channels and so no stable rank below 0.037: with beta 0.025 they are held at
0.04.

Budget: 21 trainings of 800 steps, batch 4 of 7 frames of 48x48, sigma 30; about a
minute and a half each on two cores, measuring included.

    python examples/paper/constraints.py --data CLIPS --test CLIPS --out FOLDER
"""

from pathlib import Path

import claims
import keras
import numpy as np
import study
from matplotlib.figure import Figure

from stablevid_tf import diagnostics, evaluation, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.layers import SRNCConv2D, SRNConv2D

SIZE = 48
PSNR = "psnr_rgb_frame7"


@keras.saving.register_keras_serializable(package="paper")
class Everywhere(SRNC):
    """SRN-C on every convolution; head and tail at the least rank they can have."""

    def conv2d(self, filters, kernel_size, role, loop, **kwargs):
        held = self._held()
        if role != "body":
            held["beta"] = max(self.beta, 0.04)
        return SRNCConv2D(filters, kernel_size, **held, **kwargs)


@keras.saving.register_keras_serializable(package="paper")
class SRN(SRNC):
    """Norm and stable rank of the reshaped kernel: algorithm 1."""

    def conv2d(self, filters, kernel_size, role, loop, **kwargs):
        return SRNConv2D(
            filters, kernel_size, alpha=self.alpha, beta=self.beta, **kwargs
        )


# Row: its constraint (a factor: the model of row "none", dampened) and its seed.
held = dict(frame_size=SIZE)
ROWS = {
    "none": (None, 0),
    "none_seed1": (None, 1),
    "srn_1_1": (SRN(1.0, 1.0, **held), 0),
    **{f"srnc_{a:g}_1": (Everywhere(a, 1.0, **held), 0) for a in (2, 1.5, 1, 0.5)},
    "srnc_1_1_seed1": (Everywhere(1.0, 1.0, **held), 1),
    **{f"srnc_2_{b:g}": (Everywhere(2.0, b, **held), 0) for b in (0.4, 0.2, 0.1, 0.05)},
    "srnc_2_0.1_seed1": (Everywhere(2.0, 0.1, **held), 1),
    **{
        f"srnc_3_{b:g}": (Everywhere(3.0, b, **held), 0)
        for b in (0.4, 0.2, 0.1, 0.05, 0.025)
    },
    "printed_2_0.1": (Everywhere(2.0, 0.1, decomposition="gradient", **held), 0),
    "loop_0.95": (SRNC(0.95, where="loop", **held), 0),
    "loop_0.95_seed1": (SRNC(0.95, where="loop", **held), 1),
    **{f"dampened_{x:g}": (x, 0) for x in (0.95, 0.85, 0.75, 0.65, 0.55, 0.0)},
}
# PSNR of frame 7, the deciles of the onsets, and whether it is stable.
INF = float("inf")
PAPER = {
    "none": (35.74, 29, 75, False),
    "srn_1_1": (35.64, 69, 295, False),
    "srnc_2_1": (35.71, 74, 264, False),
    "srnc_1.5_1": (35.58, 84, 285, False),
    "srnc_1_1": (35.31, INF, INF, True),
    "srnc_0.5_1": (34.58, INF, INF, True),
    "srnc_2_0.4": (35.69, 50, 258, False),
    "srnc_2_0.2": (35.63, 26, 110, False),
    "srnc_2_0.1": (35.59, INF, INF, True),
    "srnc_2_0.05": (35.48, INF, INF, True),
    "srnc_3_0.4": (35.75, 27, 49, False),
    "srnc_3_0.2": (35.77, 51, 164, False),
    "srnc_3_0.1": (35.71, 48, 173, False),
    "srnc_3_0.05": (35.63, 62, 164, False),
    "srnc_3_0.025": (35.54, INF, INF, True),
    "dampened_0.95": (35.31, 30, 93, False),
    "dampened_0.85": (34.93, 38, 257, False),
    "dampened_0.75": (34.78, 59, 1024, False),
    "dampened_0.65": (34.69, 181, 38097, False),
    "dampened_0.55": (34.62, INF, INF, True),
    "dampened_0": (34.32, INF, INF, True),
}
TWINS = ("none", "srnc_2_0.1", "srnc_1_1", "loop_0.95")

parser = study.arguments(__doc__, steps=800, features=16)
args = parser.parse_args()
names = study.chosen(args, ROWS)


def build(constraint, dtype="float32"):
    return models.build(
        "vresnet_feat", features=args.features, constraint=constraint, dtype=dtype
    )


def trained(name):
    constraint, seed = ROWS[name]
    return study.trained(
        Path(args.out) / name,
        lambda dtype: build(constraint, dtype),
        lambda model: study.clips(args, seed),
        args.steps,
        seed=seed,
    )


def as_trained(model):
    """A plain twin with the kernels of training: folding would bring them to alpha."""
    plain = build(None)
    for mine, other in zip(convolutions(model), convolutions(plain), strict=True):
        other.kernel.assign(mine.effective_kernel())
        other.bias.assign(mine.bias)
    return plain


def convolutions(model):
    stages = [conv for stage in model.cell.body for conv in stage.convs]
    return [model.cell.head, *stages, model.cell.tail]


def made(name):
    """A row's model, as inference runs it."""
    constraint, _ = ROWS[name]
    if isinstance(constraint, float):
        return models.dampened(trained("none"), constraint)
    model = trained(name)
    return as_trained(model) if name.startswith("printed") else model.fold()


def measure(name):
    try:
        model = made(name)
    except FloatingPointError as error:
        print(f"{name}: {error}")
        return {"verdict": "training fails"}
    proof = diagnostics.certify(model)
    spectra = diagnostics.spectra(model)
    norms = [layer.norm for layer in spectra.layers]
    return {
        **evaluation.evaluate(model, args.test, "tanay").mean,
        **study.stability(model, args.test),
        "loop_gain_largest": max(loop.gain for loop in proof.loops),
        "loop_gain_mean": np.mean([loop.gain for loop in proof.loops]),
        "norm_mean": np.mean(norms),
        "norm_std": np.std(norms),
        "stable_rank_mean": np.mean([layer.stable_rank for layer in spectra.layers]),
        "spectrum": spectra.average()[1][::8].tolist(),
    }


PAPERS = ("psnr_frame7", "onset_decile1", "onset_decile9", "stable")
found = {}
for name in names:
    found[name] = study.measured(Path(args.out) / name, lambda name=name: measure(name))
    print(f"{name}: {found[name]['verdict']}", flush=True)
keys = [key for key in max(found.values(), key=len) if key != "spectrum"]
study.write_table(
    args.out,
    [
        {"row": name}
        | {key: found[name].get(key) for key in keys}
        | {
            f"paper_{key}": value
            for key, value in zip(PAPERS, PAPER.get(name, (None,) * 4), strict=True)
        }
        for name in names
    ],
)


def get(name, column=PSNR):
    return found.get(name, {}).get(column)


def as_in_paper(claim, *rows):
    should = {name: PAPER[name.removesuffix("_seed1")][3] for name in rows}
    seen = {name: get(name, "verdict") for name in rows}
    claims.as_in_paper(claim, seen, should, control=get("none", "verdict"))


def held_at(name):
    """Whether the mean norm is within 5 % of the row's alpha."""
    norm = get(name, "norm_mean")
    if norm is None:
        return claims.MISSING
    return bool(abs(norm / ROWS[name][0].alpha - 1) < 0.05)


def every(values):
    values = set(values)
    return min(values, key=[False, claims.MISSING, True].index)


def better(claim, a, b):
    claims.judged(claim, claims.more(found, a, b, PSNR), decibels)


SRNC_ROWS = [name for name in ROWS if name.startswith("srnc")]
ALPHAS = [f"srnc_{a:g}_1" for a in (2, 1.5, 1, 0.5)]
BETAS = [f"srnc_2_{b:g}" for b in (0.4, 0.2, 0.1, 0.05)]
ALPHA_3 = [name for name in SRNC_ROWS if name.startswith("srnc_3")]
DAMPENED = [name for name in ROWS if name.startswith("dampened")]
decibels = claims.spread(found, TWINS, PSNR)
print()
as_in_paper("Without constraint it is unstable", "none", "none_seed1")
opposite = {True: False, False: True}
off = held_at("srn_1_1")
claims.said("SRN does not hold the norms at 1", opposite.get(off, off))
as_in_paper("SRN leaves it unstable", "srn_1_1")
claims.said("SRN-C holds the norms at alpha", every(map(held_at, SRNC_ROWS)))
claims.said("As printed it holds them as well", held_at("printed_2_0.1"))
ranks = [get(name, "stable_rank_mean") for name in BETAS]
falls = claims.MISSING if None in ranks else bool(np.all(np.diff(ranks) < 0))
claims.said("A smaller beta lowers the stable rank", falls)
as_in_paper("Unstable above alpha 1, stable from there on", *ALPHAS)
better("Norms of 2 are better than of 1", "srnc_2_1", "srnc_1_1")
better("Norms of 1 are better than of 0.5", "srnc_1_1", "srnc_0.5_1")
claims.judged(
    "A smaller alpha shortens the field, in frames (there from alpha 1 on)",
    claims.more(found, "srnc_2_1", "srnc_0.5_1", "field_frames"),
    claims.spread(found, TWINS, "field_frames"),
)
as_in_paper("At alpha 2 unstable above beta 0.1, stable from there on", *BETAS)
as_in_paper("At alpha 3 unstable above beta 0.025, stable there", *ALPHA_3)
better("Soft is better than hard", "srnc_2_0.1", "srnc_1_1")
apart = claims.more(found, "srnc_3_0.025", "srnc_2_0.1", PSNR)
told = apart is not None and decibels is not None
close = abs(apart) <= decibels if told else claims.MISSING
claims.said("Soft (3, 0.025) is as good as soft (2, 0.1)", close)
as_in_paper("Dampened it is stable from 0.55 on, not above", *DAMPENED)
better("Soft is better than dampened by 0.55", "srnc_2_0.1", "dampened_0.55")

told = "" if decibels is None else f" (seeds differ by {decibels:.2f} dB at most)"
print(f"\nWhat stability costs on frame 7, mean of two seeds{told}:")
for label, name in zip(("none", "soft", "hard", "loop"), TWINS, strict=True):
    both = [claims.more(found, f"none{x}", name + x, PSNR) for x in ("", "_seed1")]
    cost = "a row is missing" if None in both else f"{np.mean(both):.2f} dB"
    verdicts = f"{get(name, 'verdict')} and {get(name + '_seed1', 'verdict')}"
    print(f"{label} ({name}): {cost}; {verdicts}.")

MARKS = {"proved": "oC0", "passes": "sC2", "undecided": "DC1", "fails": "XC3"}
LOWEST = -3
figure = Figure(figsize=(10, 8), layout="constrained")
grid = figure.add_gridspec(3, 2, width_ratios=(1.5, 1))
axes = figure.add_subplot(grid[:, 0])
shown = [name for name in names if get(name) is not None]
zero = get("none") or 0.0
for verdict, mark in MARKS.items():
    at = [i for i, name in enumerate(shown) if get(name, "verdict") == verdict]
    if at:
        axes.plot(
            [max(get(shown[i]) - zero, LOWEST) for i in at], at, mark, label=verdict
        )
at = [i for i, name in enumerate(shown) if zero and name in PAPER]
values = [PAPER[shown[i]][0] - PAPER["none"][0] for i in at]
axes.plot(values, at, "d", color="0.5", fillstyle="none", label="the paper's PSNR")
for i, name in enumerate(shown):
    gain = f"{get(name, 'loop_gain_largest'):.3g}"
    beside = axes.get_yaxis_transform()
    axes.text(1.01, i, gain, transform=beside, va="center", fontsize=8)
axes.axvline(0, color="0.8", linewidth=0.8, zorder=0)
axes.set_yticks(range(len(shown)), shown, fontsize=8)
axes.invert_yaxis()
above = f"dB above no constraint (at {LOWEST}: or less)" if zero else "dB"
axes.set_xlabel(f"PSNR of frame 7, {above}")
axes.text(1.01, 1.01, "loop gain\nat most", transform=axes.transAxes, fontsize=8)
axes.legend(frameon=False, fontsize=8)
PANELS = {
    "beta 1": ["none", "srn_1_1", *ALPHAS],
    "alpha 2": ["srnc_2_1", *BETAS, "printed_2_0.1"],
    "alpha 3": ALPHA_3,
}
for place, (title, rows) in zip(range(3), PANELS.items(), strict=True):
    panel = figure.add_subplot(grid[place, 1])
    for name in rows:
        if (values := get(name, "spectrum")) is not None:
            panel.plot(np.linspace(0, 1, len(values)), values, label=name, linewidth=1)
    panel.set_title(f"mean singular values, {title}", fontsize=9)
    panel.set(xlim=(0, 1), ylim=(0, 4))
    if panel.lines:
        panel.legend(frameon=False, fontsize=7, ncols=2)
    panel.spines[["top", "right"]].set_visible(False)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(Path(args.out) / "figure.png", dpi=110)
print(f"Written: {args.out}/results.csv, {args.out}/figure.png")
