"""Deblurring with recurrence in recurrence: five networks, two add-ons.

Repeats tables S5 and S6 of Park et al., "Recurrence-in-Recurrence Networks for Video
Deblurring": each network alone, with adaptive temporal blending of its features (ATB),
with the inner-recurrence module on its hidden state (IRM), and with both; for IFI-RNN
each add-on in the place of the other one too. There GoPro and REDS; here single frames
of the clips drift by up to two pixels a frame along each axis, seven of these frames
are averaged, and the one in their middle is to be found (`MotionBlur`). Frames of
ordinary video lie too far apart: averaged, they taught a network the identity.

    python examples/paper/recurrence_in_recurrence.py --data CLIPS --test OTHER_CLIPS \
        --out FOLDER

All rows: the same clips, steps, rate (1e-3) and schedule; the unit of widths is
`--features` (there 20, of STRCNN 32), of RDBN three quarters of it (there 16), and
networks that have residual blocks have `--blocks` of them (there 6, 8, 15).

Measured: PSNR of the mean squared error of 64 clips of 20 frames of 64x64, blurred in
the same way out of the test clips (a mean of decibels would be ruled by the clips that
happen to stand still: 60 dB, blurred). Beside it, judged by no claim, protocol "rirn"
on the first 20 blurred frames of each test clip, seven frames of its own averaged. The
blurred frames as they are have a row. What a network makes is added to the frame
(`skip`), as in none of the papers: at this budget one that writes the whole picture
stays below its input (IFI-RNN with both add-ons after 3,000 steps: 24.3 dB where the
input has 25.6). And, of eight of the clips, the largest number in the state after 7
frames, as many as a network was trained on, and after 20; how many frames hold numbers
and no NaN; and PSNR of the seventh and of the last of these: a state that grows is an
instability that PSNR need not show.

The spread is the larger of what two seeds of IFI-RNN differ by, alone and with both
add-ons. A claim agrees if every difference that it speaks of is larger than the
spread, disagrees if one is below minus the spread, and else cannot be told.

Budget: 24 trainings of 1,000 steps, batch 4 of 7 frames of 48x48; see README.md.
"""

import dataclasses
from pathlib import Path

import claims
import numpy as np
import study
from keras import tree
from matplotlib.figure import Figure

from stablevid_tf import data, evaluation, models
from stablevid_tf.data.degradations import MotionBlur

BASES = ("ifi_rnn", "strcnn", "rdbn", "gru", "lstm")
WITH_BLOCKS = ("ifi_rnn", "strcnn", "rdbn")
ADD_ONS = {"": "nothing", "atb": "ATB", "irm": "IRM", "rirn": "both"}
SWAPS = {"atb_atb": "ATB twice", "irm_irm": "IRM twice"}
RATE, FRAMES, CLIPS = 1e-3, 20, 64
# Pixels a frame along each axis, at most; the blur of it.
MOTION, BLUR = 2.0, MotionBlur(window=7)
PSNR = "psnr_rgb_moving"
# Times that a state grows from frame 7 on before it is told of.
GROWTH = 10
STATES = ("state_frame7", f"state_frame{FRAMES}")
LASTING = (*STATES, "frames_of_numbers", "psnr_frame7", "psnr_last_of_numbers")
# PSNR and SSIM on GoPro, then on REDS: table S6, and for the swaps S5.
PAPER = {
    "ifi_rnn": (28.30, 0.8668, 30.01, 0.8762),
    "ifi_rnn_atb": (28.65, 0.8779, 30.61, 0.8800),
    "ifi_rnn_irm": (28.88, 0.8805, 30.75, 0.8845),
    "ifi_rnn_rirn": (29.14, 0.8894, 31.08, 0.8905),
    "ifi_rnn_atb_atb": (28.65, 0.8812, 30.75, 0.8822),
    "ifi_rnn_irm_irm": (28.76, 0.8874, 30.95, 0.8900),
    "strcnn": (28.72, 0.8460, 30.23, 0.8708),
    "strcnn_atb": (28.75, 0.8554, 30.43, 0.8752),
    "strcnn_irm": (28.82, 0.8602, 30.66, 0.8829),
    "strcnn_rirn": (28.87, 0.8781, 30.76, 0.8902),
    "rdbn": (29.82, 0.9043, 32.29, 0.9222),
    "rdbn_atb": (29.87, 0.9048, 32.55, 0.9221),
    "rdbn_irm": (29.96, 0.9086, 32.44, 0.9308),
    "rdbn_rirn": (30.17, 0.9120, 32.71, 0.9322),
    "gru": (25.11, 0.7890, 26.69, 0.7956),
    "gru_atb": (25.49, 0.7961, 26.77, 0.8043),
    "gru_irm": (26.03, 0.8179, 28.52, 0.8338),
    "gru_rirn": (26.36, 0.8217, 28.60, 0.8428),
    "lstm": (25.22, 0.7948, 26.87, 0.8046),
    "lstm_atb": (25.33, 0.8011, 27.69, 0.8198),
    "lstm_irm": (26.97, 0.8291, 28.75, 0.8335),
    "lstm_rirn": (27.24, 0.8400, 29.12, 0.8584),
}
PAPER_COLUMNS = (
    "paper_psnr_gopro",
    "paper_ssim_gopro",
    "paper_psnr_reds",
    "paper_ssim_reds",
)
TWICE = ("ifi_rnn", "ifi_rnn_rirn")
# Row: architecture (None: the blurred frames as they are) and seed.
ROWS = {
    "blurred": (None, None),
    **{name: (name, 0) for name in PAPER},
    **{f"{name}_seed1": (name, 1) for name in TWICE},
}


class AsItIs:
    """Frames as they come: what `evaluate` needs of a model of whole clips."""

    scale, channels = 1, 3

    def predict_on_batch(self, frames):
        return frames


parser = study.arguments(__doc__, steps=1000, features=16, blocks=2)
args = parser.parse_args()
if args.features < 3:
    parser.error(f"--features: 3 or more. Received: {args.features}")
names = study.chosen(args, ROWS)
protocol = dataclasses.replace(evaluation.PROTOCOLS["rirn"], frames=FRAMES)


def base_of(architecture):
    return next(base for base in BASES if architecture.startswith(base))


def trained(name):
    architecture, seed = ROWS[name]
    base = base_of(architecture)
    sizes = {"features": args.features, "skip": True}
    if base == "rdbn":
        # An even number.
        sizes["features"] = 3 * args.features // 8 * 2
    if base in WITH_BLOCKS:
        sizes["blocks"] = args.blocks
    return study.trained(
        Path(args.out) / name,
        lambda dtype: models.build(architecture, dtype=dtype, **sizes),
        study.clips(args, seed, motion=MOTION, degrade=BLUR),
        args.steps,
        RATE,
        seed,
    )


def measure(name):
    model, parameters = AsItIs(), None
    if name != "blurred":
        model = trained(name)
        parameters = study.parameters(model)
    mean = evaluation.evaluate(model, args.test, protocol, name=name).mean
    return {"parameters": parameters, PSNR: moving(model)} | mean


def held_out():
    """Blurred test clips of made-up motion."""
    return data.ClipDataset(
        args.test,
        frames=FRAMES,
        size=64,
        batch_size=8,
        steps=CLIPS // 8,
        motion=MOTION,
        degrade=BLUR,
        seed=7,
        cache=study.cache(args),
    )


def errors(model, blurred, sharp):
    """Mean squared error of every frame [T] of a batch."""
    restored = np.clip(model.predict_on_batch(blurred), 0, 1)
    return np.mean((restored - sharp) ** 2, axis=(0, 2, 3, 4))


def moving(model):
    """PSNR in dB of the mean squared error on held-out clips of made-up motion."""
    clips = held_out()
    every = [errors(model, *clips[index]) for index in range(len(clips))]
    return float(-10 * np.log10(np.mean(every)))


def lasting(name):
    """What becomes of eight clips' state, and of their frames: LASTING."""
    if name == "blurred":
        return dict.fromkeys(LASTING)
    model, (blurred, sharp) = trained(name), held_out()[0]
    curve = -10 * np.log10(errors(model, blurred, sharp))
    numbers = int(np.isfinite(curve).sum())
    state, largest = model.initial_state(blurred[:, 0]), []
    for frame in blurred.swapaxes(0, 1):
        _, state = model.step(frame, state)
        leaves = [np.abs(leaf).max() for leaf in map(np.asarray, tree.flatten(state))]
        largest.append(float(np.max(leaves)))
    values = (largest[6], largest[-1], numbers, curve[6], curve[numbers - 1])
    return dict(zip(LASTING, values, strict=True))


found = {}
for name in names:
    print(f"-- {name}", flush=True)
    found[name] = study.measured(Path(args.out) / name, lambda name=name: measure(name))
    found[name] |= study.measured(
        Path(args.out) / name / "lasting", lambda name=name: lasting(name)
    )


def gain(name, over):
    """dB that a row has over another of the same seed; None where one is missing."""
    return claims.more(found, name, over, PSNR)


rows = []
for name, figures in found.items():
    architecture, seed = ROWS[name]
    base = architecture and base_of(architecture)
    alone = base and name.replace(architecture, base)
    paper = PAPER.get(architecture, (None,) * 4)
    rows.append(
        {
            "row": name,
            "network": base,
            "add_on": architecture and architecture[len(base) + 1 :],
            "seed": seed,
            **figures,
            "psnr_gain_over_network_alone": alone and gain(name, alone),
            **dict(zip(PAPER_COLUMNS, paper, strict=True)),
        }
    )
study.write_table(args.out, rows)
spread = claims.spread(found, TWICE, PSNR)

figure = Figure(figsize=(9, 4), layout="constrained")
axes = figure.add_subplot()
KINDS = {k: v for k, v in (ADD_ONS | SWAPS).items() if k}
ticks = []
for place, base in enumerate(BASES):
    kinds = [kind for kind in KINDS if f"{base}_{kind}" in PAPER]
    ticks.append(place)
    for at, kind in enumerate(kinds):
        name = f"{base}_{kind}"
        x = place + 0.8 * ((at + 0.5) / len(kinds) - 0.5)
        width = 0.7 / len(kinds)
        colour = f"C{list(KINDS).index(kind)}"
        label = KINDS[kind] if place == 0 else None
        axes.bar(x, gain(name, base) or 0, width, color=colour, label=label)
        if np.isnan(found.get(name, {}).get(PSNR, 0)):
            axes.text(x, 0.05, "NaN", rotation=90, ha="center", color=colour)
        theirs = PAPER[name][0] - PAPER[base][0]
        label = "the paper's, on GoPro" if place == at == 0 else None
        axes.hlines(theirs, x - width / 2, x + width / 2, color="black", label=label)
if spread is not None:
    label = f"two seeds differ: {spread:.2f} dB"
    axes.axhspan(-spread, spread, color="0.9", zorder=0, label=label)
axes.axhline(0, color="0.5", linewidth=0.8)
axes.set_xticks(ticks, [base.replace("_", "-").upper() for base in BASES])
axes.set_ylabel("PSNR gained by the add-on, dB")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
figure.savefig(Path(args.out) / "figure.png", dpi=150)


def judged(claim, gains):
    claims.all_judged(claim, gains, spread)


def above(base, kinds):
    """dB by which both add-ons are above the better of the rows with `kinds`."""
    gains = [gain(f"{base}_rirn", f"{base}_{kind}") for kind in kinds]
    return None if None in gains else min(gains)


print()
grown = {}
for name, figures in found.items():
    early, late = (figures[state] for state in STATES)
    if early and not late < GROWTH * early:
        grown[name] = late / early
print(f"Ours: states more than {GROWTH} times as large by frame {FRAMES}:")
for name, by in grown.items():
    numbers, seventh, last = (found[name][key] for key in LASTING[2:])
    print(
        f"  {name} {by:.2g}; {seventh:.2f} dB on frame 7, {last:.2f} on frame "
        f"{numbers}, the last of numbers"
    )
judged("ATB helps every network", {b: gain(f"{b}_atb", b) for b in BASES})
judged("IRM helps every network", {b: gain(f"{b}_irm", b) for b in BASES})
judged("Both help every network", {b: gain(f"{b}_rirn", b) for b in BASES})
judged(
    "Both are better than the better of the two alone",
    {base: above(base, ("atb", "irm")) for base in BASES},
)
judged(
    "One add-on in both places helps",
    {kind: gain(f"ifi_rnn_{kind}", "ifi_rnn") for kind in SWAPS},
)
judged(
    "Each add-on in its own place is better than one in both",
    {kind: gain("ifi_rnn_rirn", f"ifi_rnn_{kind}") for kind in SWAPS},
)
print(f"Written: {args.out}/results.csv, {args.out}/figure.png")
