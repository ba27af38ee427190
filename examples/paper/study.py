"""What the tables share: rows trained once, measured once, and written down.

A study's folder has a folder for each row: the training run (`training.RunFolder`, so
that a run that was stopped goes on), its weights, and `figures.json`. What is there is
not made again: to make a row anew, remove its folder. Beside them stand `results.csv`
and `figure.png`.
"""

import argparse
import csv
import itertools
import json
import time
from pathlib import Path

import keras
import numpy as np

from stablevid_tf import diagnostics
from stablevid_tf.data import ClipDataset, open_video, sequences
from stablevid_tf.data.list_videos import list_videos
from stablevid_tf.layers import bicubic
from stablevid_tf.losses import Charbonnier
from stablevid_tf.metrics import PSNR
from stablevid_tf.training import RunFolder

EPOCH = 50
TESTS = (
    "long_run",
    "onset_decile1",
    "onset_decile9",
    "field",
    "field_frames",
    "verdict",
)


def arguments(doc, **defaults):
    """A parser of what every study takes, and one ``--name`` per default given."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder of clips to train on")
    parser.add_argument("--test", required=True, help="folder of other clips")
    parser.add_argument("--out", required=True, help="folder for rows, table, figure")
    parser.add_argument("--cache", help="folder for decoded frames (OUT/frames)")
    parser.add_argument("--rows", nargs="*", help="make these rows only")
    for name, value in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value)
    return parser


def chosen(args, rows):
    """The table's rows, in its order: those asked for, and those made before.

    Ends the program where `args.out` holds a study with other settings, or where a
    row is unknown. Settings are all arguments but `--out`, `--rows`, `--cache`.
    """
    unknown = sorted(set(args.rows or ()) - set(rows))
    if unknown:
        raise SystemExit(
            f"No row is named {', '.join(unknown)}. Rows: {' '.join(rows)}"
        )
    asked = {k: v for k, v in vars(args).items() if k not in ("out", "rows", "cache")}
    record = Path(args.out) / "settings.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    if not record.exists():
        record.write_text(json.dumps(asked, indent=1), encoding="utf-8")
    found = json.loads(record.read_text(encoding="utf-8"))
    if found != asked:
        raise SystemExit(
            f"{args.out} holds a study made with {found}, asked for is {asked}. Give "
            "another --out."
        )
    made = {name for name in rows if (Path(args.out) / name / "figures.json").exists()}
    wanted = set(args.rows or rows) | made
    missing = [name for name in rows if name not in wanted]
    if missing:
        print(f"Without the rows {', '.join(missing)}: no part of the table below.")
    return [name for name in rows if name in wanted]


def cache(args):
    """The folder for decoded frames."""
    return args.cache or Path(args.out) / "frames"


def clips(args, seed, **options):
    """7 frames of 48x48 in batches of 4; noise of sigma 30 but for `degrade`."""
    return ClipDataset(
        args.data,
        frames=7,
        size=48,
        batch_size=4,
        steps=min(EPOCH, args.steps),
        seed=seed,
        cache=cache(args),
        **options,
    )


def back_and_forth(clips, frames):
    """Frames [B, H, W, C], `frames` of them: B clips played back and forth together."""
    videos = [sequences.ping_pong(clip, frames) for clip in clips]
    return map(np.stack, zip(*videos, strict=True))


def cut(frames, size):
    """The square in the middle of uint8 frames [..., H, W, C], float32 in [0, 1]."""
    top, left = (max(side - size, 0) // 2 for side in frames.shape[-3:-1])
    square = frames[..., top : top + size, left : left + size, :]
    return square.astype("float32") / 255


def trained(
    run, build, clips, steps, rate=2e-3, seed=0, loss=None, dtype="mixed_bfloat16"
):
    """A model with the weights of a run of `steps` steps, trained if it was not yet.

    Adam, `rate` after a hundredth of the steps (100 at most), cosine to a hundredth of
    it, gradients clipped at norm 1, Charbonnier loss.

    Args:
        run: the row's folder.
        build: function of a dtype policy that gives a model, built.
        clips: a dataset, or a function of the model that gives one (PI-BPTT).
        dtype: of the training. The model returned is in float32.

    Raises:
        ValueError: the folder holds a run of other steps, rate or seed.
    """
    weights = Path(run) / "model.weights.h5"
    settings = {"steps": steps, "rate": rate}
    _check_same(Path(run) / "run.json", settings | {"seed": seed})
    if not weights.exists():
        keras.utils.set_random_seed(seed)
        model = build(dtype)
        clips = clips(model) if callable(clips) else clips
        warm = min(100, steps // 10)
        schedule = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=rate,
            warmup_steps=warm,
            decay_steps=steps - warm,
            alpha=0.01,
        )
        model.compile(
            optimizer=keras.optimizers.Adam(schedule, global_clipnorm=1.0),
            loss=loss or Charbonnier(),
            metrics=[PSNR(frames="last")],
        )
        with RunFolder(run, settings, seed) as folder:
            model.fit(
                clips,
                epochs=-(-steps // len(clips)),
                callbacks=[Seconds(), *folder.callbacks(clips)],
                verbose=2,
            )
        model.save_weights(weights)
    model = build("float32")
    model.load_weights(weights)
    return model


def parameters(model):
    """Numbers that training changes: no stored statistics, no power iteration's."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def _check_same(record, asked):
    if not record.exists():
        return
    start = json.loads(record.read_text(encoding="utf-8"))["starts"][0]
    found = start["arguments"] | {"seed": start["seed"]}
    if found != asked:
        raise ValueError(
            f"{record.parent} holds a run of {found}, asked for is {asked}. Give "
            "another --out, or remove the folder."
        )


class Bicubic:
    """Bicubic enlargement: what `evaluate` needs of a model of whole clips."""

    scale, channels = 4, 3

    def predict_on_batch(self, frames):
        return np.stack([bicubic.enlarge(clip, self.scale) for clip in frames])


class Seconds(keras.callbacks.Callback):
    """Logs the seconds that an epoch took: its data, PI-BPTT's states, its steps."""

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self._start


def measured(run, measure):
    """What `measure()` gives, a dict of plain values, kept in the row's folder."""
    path = Path(run) / "figures.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    figures = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(figures, indent=1, default=float), encoding="utf-8")
    partial.replace(path)
    return figures


def stability(model, test, frames=300, size=48, sigma=30):
    """The two tests of Tanay et al., section 2.2, small, and the certificate: TESTS.

    The long run: the middle of every clip of `test`, its first 40 frames back and
    forth, with noise. Bidirectional models, which have no state that could go astray,
    get None.
    """
    if not hasattr(model, "step"):
        return dict.fromkeys(TESTS)
    squares = (cut(_first(path, 40), size) for path in list_videos(test))
    videos = back_and_forth(squares, frames)
    return tested(model, diagnostics.long_run(model, videos, sigma=sigma))


def tested(model, run):
    """TESTS, of a model and its long run.

    The field: 41 frames of 32x32, 60 iterations. Verdict: "proved" where every loop's
    gain bound is below 1; else "fails" where the long run drifts or diverges, or the
    field diverges; "passes" where both are stable; "undecided".
    """
    field = diagnostics.temporal_receptive_field(model, 20, 32, iterations=60)
    verdicts = {run.verdict, field.verdict}
    if diagnostics.certify(model).certified:
        verdict = "proved"
    elif verdicts & {"diverges", "drifts"}:
        verdict = "fails"
    else:
        verdict = "passes" if verdicts == {"stable"} else "undecided"
    values = (run.verdict, *run.deciles, field.verdict, field.window, verdict)
    return dict(zip(TESTS, values, strict=True))


def _first(path, count):
    with open_video(path) as video:
        return np.stack([frame.image for frame in itertools.islice(video, count)])


def write_table(out, rows):
    """`results.csv` of rows (dicts; the first one's keys), and the same in Markdown."""
    with open(Path(out) / "results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(_shown(row.get(key)) for key in rows[0])} |")


def _shown(value):
    return f"{value:.2f}" if isinstance(value, float) else str(value)
