"""Does training on longer sequences make a recurrent model stable?

Repeats Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
Processing", appendix G: figure 11 and table 8. One small VDnCNN-feat, with one internal
convolution, is trained on grey 32x32 sequences of 7, 14, 28 and 56 frames with
synthetic motion (data.CameraPath, the source the paper names) and noise of sigma 20.

    python examples/paper/lengths.py --data CLIPS --test OTHER_CLIPS --out FOLDER

Rows compare at equal steps (there 300,000), 16 features, batches of 4; a
step on 56 frames costs eight times one on 7. The recurrence is not named there; feat is
our guess.

Measured, each on sequences made as those of training from the first frames of test
clips: PSNR of the 7th frame; a long run, one sequence a clip (there 200,000 frames of
video), with the onsets of divergences; and the verdict of the temporal receptive field
(100 iterations; there 500). PSNR is told beyond 0.1 dB; a sharp drop is 1 dB from one
fiftieth of the run to the next, of the training curve (there of validation; gradients
are clipped here, of which the paper says nothing); "unstable" is a divergence in the
long run or when provoked, or in training. Where no model is unstable nothing is told of
stability, where no curve drops nothing of drops. That length hardly changes PSNR is
read off table 8.
"""

import claims
import numpy as np
import study
from matplotlib.figure import Figure

from stablevid_tf import data, diagnostics, metrics, models
from stablevid_tf.data import sequences
from stablevid_tf.training.learning_curve import read

SIZE, SIGMA, GREY = 32, 20, np.array([[0.299], [0.587], [0.114]], "float32")
PATH = data.CameraPath()
# Of the paper (table 8): PSNR of the 7th frame, deciles of the onsets.
ROWS = {
    "length_7": (7, 34.72, 57, 75),
    "length_14": (14, 34.78, 50, 7121),
    "length_28": (28, 34.73, 57, 234),
    "length_56": (56, 34.58, 261, 12356),
}

parser = study.arguments(
    __doc__, steps=1000, features=16, frames=1500, iterations=100, seed=0
)
args = parser.parse_args()
tests = data.ClipDataset(args.test, frames=1, size=70, cache=study.cache(args)).videos


# Of a network whose training ends in numbers that are none.
FAILED = {
    "psnr_7": float("nan"),
    "deciles": [0, 0],
    "divergences": len(tests),
    "long_run": "diverges",
    "curve": [],
    "stride": 1,
    "field": "training fails",
    "gain_bound": float("nan"),
}


def played(number, picture):
    """A sequence from a picture, without noise."""
    image = picture.astype("float32") / 255 @ GREY
    return sequences.camera(image, args.frames, PATH, SIZE, seed=number)


def make(name):
    length = ROWS[name][0]
    run = f"{args.out}/{name}"

    def build(dtype):
        options = {"features": args.features, "depth": 1, "channels": 1}
        return models.build("vdncnn_feat", dtype=dtype, **options)

    def figures():
        clips = data.ClipDataset(
            args.data,
            frames=length,
            size=SIZE,
            batch_size=4,
            steps=max(1, args.steps // 50),
            sigma=SIGMA,
            motion=PATH,
            grey=True,
            seed=args.seed,
            cache=study.cache(args),
        )
        try:
            model = study.trained(run, build, clips, args.steps, seed=args.seed)
        except FloatingPointError as error:
            print(f"{name}: {error}")
            return FAILED
        truth = np.stack([[*played(n, v[0])] for n, v in enumerate(tests)])
        random = np.random.default_rng(0)
        noise = random.standard_normal(truth[:, :7].shape, "float32") * SIGMA / 255
        early = np.clip(model.predict_on_batch(truth[:, :7] + noise), 0, 1)
        ran = diagnostics.long_run(model, truth, sigma=SIGMA)
        field = diagnostics.temporal_receptive_field(
            model, size=SIZE, iterations=args.iterations
        )
        return {
            "psnr_7": float(np.mean(metrics.psnr(early[:, 6], truth[:, 6]))),
            "deciles": ran.deciles,
            "divergences": len(ran.onsets),
            "long_run": ran.verdict,
            "curve": ran.psnr.mean(axis=1).tolist(),
            "stride": ran.stride,
            "field": field.verdict,
            "gain_bound": max(b.gain for b in diagnostics.certify(model).loops),
        }

    return study.measured(run, figures)


figures, logs = {}, {}
for name in study.chosen(args, ROWS):
    figures[name] = make(name)
    logs[name] = read(f"{args.out}/{name}/log.csv")

table = []
for name, found in figures.items():
    length, paper_psnr, *paper_deciles = ROWS[name]
    seconds = [*logs[name]["seconds"].values()]
    table.append(
        {
            "row": name,
            "training_frames": length,
            "steps": args.steps,
            "seconds_per_step": float(np.median(seconds)) / max(1, args.steps // 50),
            "psnr_grey_frame7_db": found["psnr_7"],
            "divergences": found["divergences"],
            "onset_decile1_frames": found["deciles"][0],
            "onset_decile9_frames": found["deciles"][1],
            "long_run": found["long_run"],
            "provoked": found["field"],
            "loop_gain_bound": found["gain_bound"],
            "paper_psnr_frame7_db": paper_psnr,
            "paper_onset_decile1_frames": paper_deciles[0],
            "paper_onset_decile9_frames": paper_deciles[1],
        }
    )
study.write_table(args.out, table)
if len(figures) < len(ROWS):
    print("No claim is judged without all rows.")
else:
    unstable = [
        "diverges" in (found["long_run"], found["field"]) for found in figures.values()
    ]
    # With none unstable, 0.
    gain = any(unstable) * (1 if unstable[-1] else -1)
    claims.judged("training on 56 frames still gives an unstable model", gain, 0.5)
    quality = [found["psnr_7"] for found in figures.values()]
    spread = max(quality) - min(quality)
    claims.judged("length hardly changes PSNR (0.2 dB there)", 0.3 - spread, 0.1)
    drops = [
        max(-np.diff([*log["psnr_last"].values()]), default=0) for log in logs.values()
    ]
    sharp = [drop > 1 for drop in drops]
    told = ", ".join(f"{drop:.2f}" for drop in drops)
    claims.said(
        f"training on 56 frames alone suffers sharp drops (of at most {told} dB)",
        sharp == [False, False, False, True] if any(sharp) else None,
    )

figure = Figure(figsize=(9, 3.6), layout="constrained")
left, right = figure.subplots(1, 2)
for number, (name, found) in enumerate(figures.items()):
    style = {"color": f"C{number}", "linewidth": 0.9}
    label = f"{ROWS[name][0]} frames"
    curve = logs[name]["psnr_last"]
    per = max(1, args.steps // 50)
    left.plot([per * (e + 1) for e in curve], [*curve.values()], label=label, **style)
    curve = np.maximum(found["curve"], 0)
    right.plot(found["stride"] * np.arange(len(curve)), curve, **style)
left.set(
    title="while training: last frame of the clips", xlabel="step", ylabel="PSNR, dB"
)
right.set(title="long run, mean of the sequences", xlabel="frame", ylabel="PSNR, dB")
if figures:
    left.legend(frameon=False, fontsize=8)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig(f"{args.out}/figure.png", dpi=100)
print(f"Written: {args.out}/results.csv, {args.out}/figure.png")
