import argparse
import collections
import re
import sys
import warnings
from pathlib import Path

import keras

from stablevid_tf import data
from stablevid_tf.data.list_videos import list_videos
from stablevid_tf.losses import Charbonnier
from stablevid_tf.metrics import PSNR
from stablevid_tf.training.averaged_weights import AveragedWeights
from stablevid_tf.training.muon import Muon
from stablevid_tf.training.run_folder import RunFolder

# How fast photographs move, in pixels a frame, and how far.
_SPEED, _REACH = (0.0, 6.0), 64
_EPOCH = 100
_WARM_UP = 200


class Recipe:
    """What the training scripts of the zoo share: arguments, data, schedule, saving.

    A script makes one from its own docstring, then a model and clips, and calls
    `fit`. The command line may shorten the run (`--steps`, `--batch`) and continue
    from weights (`--weights`, `--first-step`).

    The clips: each comes from a video, from a photograph that a random camera path
    moves, or from a photograph that stands still. Videos whose names differ only in
    a number at the end (`street_0.mp4`, `street_1.mp4`) are one recording, and every
    recording is drawn equally often.

    The schedule: Muon with a moving average of the weights, a linear warm-up of 200
    steps, then a cosine to 1 % of the rate. The saved weights are the average.

    Args:
        doc: the script's docstring; its first line is the help text.
        steps: training steps.
        rate: learning rate after the warm-up.
        batch: clips per step.
        parts: `{name: {"steps": ..., "rate": ..., "batch": ...}}` where training has
            several parts, such as single frames first, then clips: a part's settings,
            in place of those above. `--part` chooses one, `recipe.part` is its name,
            the folder `RUN/PART` is its own, and it starts from the averaged weights
            of the part before.
        momentum: of the moving average.
        shares: `{prefix: recordings}`: all videos whose names begin with the prefix
            count as so many recordings together.
        mix: how often a clip is `(video, moving photograph, still photograph)`.
            Without `--photos` all are videos.
        arguments: the command line, a list of words. Default: the program's.

    Example:
        >>> from stablevid_tf.training import Recipe
        >>> recipe = Recipe("Trains a small denoiser.", steps=200)     # doctest: +SKIP
        >>> clips = recipe.clips(frames=7, size=64, sigma=30)          # doctest: +SKIP
        >>> recipe.fit(model, clips)                                   # doctest: +SKIP
    """

    def __init__(
        self,
        doc,
        steps=None,
        rate=3e-3,
        batch=4,
        parts=None,
        momentum=0.998,
        shares=None,
        mix=(0.70, 0.22, 0.08),
        arguments=None,
    ):
        same = {"steps": steps, "rate": rate, "batch": batch}
        parts = {name: same | part for name, part in (parts or {"": {}}).items()}
        parser = argparse.ArgumentParser(description=doc.strip().splitlines()[0])
        add = parser.add_argument
        add("--data", nargs="+", required=True, help="folders of video clips")
        add("--photos", help="folder of photographs, moved by a random camera path")
        where = "folder for state, log and weights (%(default)s)"
        add("--run", default=_run_folder(), help=where)
        add("--cache", help="folder for decoded frames, kept between runs")
        add("--steps", type=int, help=f"default: {_listed(parts, 'steps')}")
        add("--batch", type=int, help=f"clips per step ({_listed(parts, 'batch')})")
        add("--weights", help="weights to start from, of the same architecture")
        if len(parts) > 1:
            add("--part", choices=list(parts), default=next(iter(parts)))
        add("--first-step", type=int, default=0, help="place in the schedule (0)")
        add("--stop-at", type=int, help="step to stop at; the schedule is not changed")
        self.args = args = parser.parse_args(arguments)
        self.part = getattr(args, "part", "")
        settings = parts[self.part]
        args.steps = settings["steps"] if args.steps is None else args.steps
        args.batch = settings["batch"] if args.batch is None else args.batch
        before = list(parts)[: list(parts).index(self.part)]
        if before and not args.weights:
            args.weights = f"{args.run}/{before[-1]}/averaged.weights.h5"
            if not Path(args.weights).exists():
                parser.error(
                    f"--part {self.part} goes on from {args.weights}, which is not "
                    f"there: train --part {before[-1]} first, or give --weights"
                )
        args.run = str(Path(args.run, self.part))
        last = args.steps if args.stop_at is None else args.stop_at
        if args.steps < _WARM_UP or args.steps % _EPOCH:
            parser.error(
                f"--steps: a multiple of {_EPOCH} from {_WARM_UP} on, not {args.steps}"
            )
        if args.first_step % _EPOCH or last % _EPOCH:
            parser.error(f"--first-step and --stop-at: multiples of {_EPOCH}")
        if not 0 <= args.first_step < last <= args.steps:
            parser.error("give 0 <= --first-step < --stop-at <= --steps")
        self.last = last
        self.rate = settings["rate"]
        self.momentum = momentum
        self.shares = shares or {}
        self.mix = mix
        self.run = RunFolder(args.run, args, seed=0)
        keras.utils.set_random_seed(0)

    def clips(self, frames, size, workers=1, **degradation):
        """The mixture of videos and photographs, a `data.ClipMixture`.

        Args:
            frames, size: of a clip.
            workers: threads that make batches.
            **degradation: `sigma` or `degrade`, as of `data.ClipDataset`.
        """
        args = self.args
        same = {"frames": frames, "size": size, "cache": args.cache} | degradation
        videos = list_videos(args.data)
        parts = [data.ClipDataset(videos, weight=self._weights(videos), **same)]
        if args.photos:
            photos = sorted(p for p in Path(args.photos).iterdir() if p.is_file())
            moving = data.CameraPath(speed=_SPEED, reach=_REACH)
            for motion in (moving, 0):
                one = lambda path: 1  # noqa: E731
                parts.append(
                    data.ClipDataset(photos, motion=motion, weight=one, **same)
                )
        return data.ClipMixture(
            parts,
            self.mix[: len(parts)],
            batch_size=args.batch,
            steps=_EPOCH,
            # A run that goes on from weights sees other batches than the first did.
            seed=args.first_step,
            workers=workers,
        )

    def _weights(self, videos):
        """How often each video is drawn: every recording equally often."""

        def recording(path):
            name = Path(path).stem
            for prefix in self.shares:
                if name.startswith(prefix):
                    return prefix
            return re.sub(r"_?\d+$", "", name)

        count = collections.Counter(map(recording, videos))
        return lambda path: self.shares.get(recording(path), 1) / count[recording(path)]

    def fit(self, model, clips, loss=None, metrics=None):
        """Train, and write `averaged.weights.h5` and the folded `model.weights.h5`."""
        args = self.args
        if args.weights:
            start(model, args.weights)
        warm_up = min(_WARM_UP, args.steps // 2)
        rate = _Shifted(
            keras.optimizers.schedules.CosineDecay(
                initial_learning_rate=0.0,
                warmup_target=self.rate,
                warmup_steps=warm_up,
                decay_steps=args.steps - warm_up,
                alpha=0.01,
            ),
            args.first_step,
        )
        optimizer = Muon(
            rate, global_clipnorm=0.1, use_ema=True, ema_momentum=self.momentum
        )
        model.compile(
            optimizer=optimizer,
            loss=Charbonnier() if loss is None else loss,
            metrics=[PSNR(frames="last")] if metrics is None else metrics,
        )
        averaged = f"{args.run}/averaged.weights.h5"
        model.fit(
            clips,
            epochs=(self.last - args.first_step) // _EPOCH,
            callbacks=[*self.run.callbacks(clips), AveragedWeights(averaged)],
            verbose=2,
        )
        model.optimizer = None
        model.load_weights(averaged)
        whole = model.fold() if hasattr(model, "fold") else model
        whole.save_weights(f"{args.run}/model.weights.h5")


def start(model, path):
    """Take weights from a file: of the model itself, or of its folded twin."""
    if not model.built:
        model.build()
    try:
        _load(model, path)
    except ValueError:
        if not hasattr(model, "fold"):
            raise
        folded = model.fold()
        _load(folded, path)
        model.adopt(folded)


def _load(model, path):
    with warnings.catch_warnings():
        # Keras passes over whole parts that a file lacks.
        warnings.filterwarnings("error", "Skipping nested container")
        try:
            model.load_weights(path)
        except UserWarning as error:
            raise ValueError(
                f"{path} holds weights of another architecture: {error}"
            ) from error


def _listed(parts, setting):
    """A setting of every part, for the help text."""
    return ", ".join(f"{part[setting]} {name}".strip() for name, part in parts.items())


def _run_folder():
    """`runs/NAME`, by the name of the script's zoo entry or of the script itself."""
    script = Path(sys.argv[0]).resolve()
    return f"runs/{script.parent.name if script.stem == 'train' else script.stem}"


@keras.saving.register_keras_serializable(package="stablevid_tf")
class _Shifted(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule entered at a later step, after a new warm-up of 200 steps."""

    def __init__(self, schedule, first):
        self.schedule = schedule
        self.first = first

    def __call__(self, step):
        rate = self.schedule(step + self.first)
        if not self.first:
            return rate
        return rate * keras.ops.minimum(1.0, keras.ops.cast(step, "float32") / _WARM_UP)

    def get_config(self):
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "first": self.first}

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["first"])
