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
input has 25.6). And what becomes of eight of the clips, played back and forth to 590
frames: the largest number in the state after 7 frames, as many as a network was trained
on, after 20, and after 590, which shows the picture of frame 20 for the 16th time; PSNR
of these frames; how many frames from the first on hold numbers and no NaN, and PSNR of
the last of them; the verdict of the long run on the same frames, of the field, and of
both (see `study.tested`); and of a network that does not stand the long run, PSNR of
frame 590 with `streaming.Guard` on watch. A state that grows is an instability that
PSNR need not show.

Ours, in no paper and judged by no claim: GRU with IRM from another seed, and under the
soft constraint of Tanay et al.; IFI-RNN under the soft and the hard one, and with its
loop alone held to a gain of 0.95, which proves it, without add-ons and with IRM (GRU's
gates and ATB's weights have no gain that could be held). Soft and hard leave the first
and the last convolution free: the last begins near zero, which a norm of 1 would undo.

The spread is the larger of what two seeds of IFI-RNN differ by, alone and with both
add-ons. A claim agrees if every difference that it speaks of is larger than the
spread, disagrees if one is below minus the spread, and else cannot be told.

Budget: 30 trainings of 2,000 steps, batch 4 of 7 frames of 48x48; see README.md.
"""

import dataclasses
from pathlib import Path

import claims
import numpy as np
import study
from keras import tree
from matplotlib.figure import Figure

from stablevid_tf import data, diagnostics, evaluation, models, streaming
from stablevid_tf.constraints import SRNC
from stablevid_tf.data.degradations import MotionBlur

BASES = ("ifi_rnn", "strcnn", "rdbn", "gru", "lstm")
WITH_BLOCKS = ("ifi_rnn", "strcnn", "rdbn")
ADD_ONS = {"": "nothing", "atb": "ATB", "irm": "IRM", "rirn": "both"}
SWAPS = {"atb_atb": "ATB twice", "irm_irm": "IRM twice"}
RATE, FRAMES, CLIPS = 1e-3, 20, 64
# Pixels a frame along each axis, at most; the blur of it.
MOTION, BLUR = 2.0, MotionBlur(window=7)
PSNR = "psnr_rgb_moving"
# As many as a network was trained on; a clip's end; the same picture, 15 rounds on.
SEEN = (7, FRAMES, FRAMES + 15 * 2 * (FRAMES - 1))
STATES = tuple(f"state_frame{at}" for at in SEEN)
CURVE = tuple(f"psnr_frame{at}" for at in SEEN)
NUMBERS = ("frames_of_numbers", "psnr_last_of_numbers")
GUARDED = f"psnr_guarded_frame{SEEN[-1]}"
LASTING = (*STATES, *CURVE, *NUMBERS, *study.TESTS, GUARDED)
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
SOFT = SRNC(alpha=2.0, beta=0.1, where="body")
LOOP = SRNC(alpha=0.95, where="loop")
# Row: architecture (None: the blurred frames as they are), seed, constraint.
ROWS = {
    "blurred": (None, None, None),
    **{name: (name, 0, None) for name in PAPER},
    **{f"{name}_seed1": (name, 1, None) for name in (*TWICE, "gru_irm")},
    "ifi_rnn_soft": ("ifi_rnn", 0, SOFT),
    "ifi_rnn_hard": ("ifi_rnn", 0, SRNC(alpha=1.0, beta=1.0, where="body")),
    "ifi_rnn_loop": ("ifi_rnn", 0, LOOP),
    "ifi_rnn_irm_loop": ("ifi_rnn_irm", 0, LOOP),
    "gru_irm_soft": ("gru_irm", 0, SOFT),
}


class AsItIs:
    """Frames as they come: what `evaluate` needs of a model of whole clips."""

    scale, channels = 1, 3

    def predict_on_batch(self, frames):
        return frames


parser = study.arguments(__doc__, steps=2000, features=16, blocks=2)
args = parser.parse_args()
if args.features < 3:
    parser.error(f"--features: 3 or more. Received: {args.features}")
names = study.chosen(args, ROWS)
protocol = dataclasses.replace(evaluation.PROTOCOLS["rirn"], frames=FRAMES)


def base_of(architecture):
    return next(base for base in BASES if architecture.startswith(base))


def trained(name):
    architecture, seed, constraint = ROWS[name]
    base = base_of(architecture)
    sizes = {"features": args.features, "skip": True, "constraint": constraint}
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


def error(restored, sharp):
    """Mean squared error of a batch of frames [B, H, W, 3], or of clips of these."""
    return float(np.mean((np.clip(restored, 0, 1) - sharp) ** 2))


def decibels(restored, sharp):
    """PSNR [T] in dB of frames [B, H, W, 3], each of its mean squared error."""
    pairs = zip(restored, sharp, strict=False)
    return -10 * np.log10([error(*pair) for pair in pairs])


def moving(model):
    """PSNR in dB of the mean squared error on held-out clips of made-up motion."""
    clips = held_out()
    pairs = (clips[index] for index in range(len(clips)))
    every = [error(model.predict_on_batch(blurred), sharp) for blurred, sharp in pairs]
    return float(-10 * np.log10(np.mean(every)))


def lasting(name):
    """What becomes of eight clips' state, and of their frames: LASTING."""
    if name == "blurred":
        return dict.fromkeys(LASTING)
    model, (blurred, sharp) = trained(name), held_out()[0]
    played = SEEN[-1] + model.latency
    frames, truth = (
        list(study.back_and_forth(clips, played)) for clips in (blurred, sharp)
    )
    state, largest, restored = model.initial_state(frames[0]), [], []
    for frame in frames:
        out, state = model.step(frame, state)
        restored.append(np.asarray(out))
        leaves = [np.abs(leaf).max() for leaf in map(np.asarray, tree.flatten(state))]
        largest.append(float(np.max(leaves)))
    curve = decibels(restored[model.latency :], truth)
    numbers = int(np.isfinite(curve).cumprod().sum())
    tests = study.tested(model, diagnostics.long_run(model, frames, truth))
    guarded = None
    if tests["long_run"] != "stable":
        clips = np.stack(frames[: SEEN[-1]], axis=1)
        runs = [streaming.restore(model, clip, "guard") for clip in clips]
        guarded = decibels(map(np.stack, zip(*runs, strict=True)), truth)[-1]
    values = [series[at - 1] for series in (largest, curve) for at in SEEN]
    values += [numbers, curve[numbers - 1], *tests.values(), guarded]
    return {**dict(zip(LASTING, values, strict=True)), "curve": curve.tolist()}


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
    architecture, seed, constraint = ROWS[name]
    base = architecture and base_of(architecture)
    alone = base and name.replace(architecture, base)
    paper = PAPER.get(None if constraint else architecture, (None,) * 4)
    rows.append(
        {
            "row": name,
            "network": base,
            "add_on": architecture and architecture[len(base) + 1 :],
            "seed": seed,
            "constraint": constraint and name.removeprefix(f"{architecture}_"),
            **{key: value for key, value in figures.items() if key != "curve"},
            "psnr_gain_over_network_alone": alone and gain(name, alone),
            **dict(zip(PAPER_COLUMNS, paper, strict=True)),
        }
    )
study.write_table(args.out, rows)
spread = claims.spread(found, TWICE, PSNR)

figure = Figure(figsize=(9, 7), layout="constrained")
axes, long = figure.subplots(2)
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
for name, (colour, style) in {
    "ifi_rnn": ("C0", "-"),
    "ifi_rnn_loop": ("C0", "--"),
    "strcnn_irm": ("C1", "-"),
    "rdbn": ("C2", "-"),
    "lstm_rirn": ("C4", "-"),
    "gru_irm": ("C3", "-"),
    "gru_irm_soft": ("C3", ":"),
}.items():
    if name in found:
        curve, numbers = (found[name][key] for key in ("curve", "frames_of_numbers"))
        at = range(1, len(curve) + 1)
        long.plot(at, curve, style, color=colour, label=name.replace("_", " "))
        if numbers < len(curve):
            long.plot(numbers, curve[numbers - 1], "x", color=colour)
long.set(xlabel="frame, back and forth (x: the last of numbers)", ylabel="PSNR, dB")
for panel in (axes, long):
    panel.spines[["top", "right"]].set_visible(False)
    if panel.has_data():
        panel.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8
        )
figure.savefig(Path(args.out) / "figure.png", dpi=150)


def judged(claim, gains):
    claims.all_judged(claim, gains, spread)


def above(base, kinds):
    """dB by which both add-ons are above the better of the rows with `kinds`."""
    gains = [gain(f"{base}_rirn", f"{base}_{kind}") for kind in kinds]
    return None if None in gains else min(gains)


print()
print(f"Ours: who does not last {SEEN[-1]} frames:")
for name, figures in found.items():
    if figures["long_run"] in ("drifts", "diverges"):
        (state, *_, grown), (_, before, after) = (
            [figures[key] for key in keys] for keys in (STATES, CURVE)
        )
        numbers, last = (figures[key] for key in NUMBERS)
        print(
            f"  {name} {figures['long_run']}: state {grown / state:.2g} times, "
            f"{before:.2f} dB to {after:.2f}, guarded {figures[GUARDED]:.2f}; "
            f"{numbers} frames of numbers, the last {last:.2f} dB"
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
