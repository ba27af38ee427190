"""What partial-initialisation BPTT costs beside the frames it must go through.

Measured: seconds of ``training.PIBPTT``'s pass over all videos and of its steps,
against steps of ``training.RandomInit``: the same model, videos, clips and batches,
reading and degrading included. An epoch is a pass and N R / B steps (N videos, R clips
of each, B a batch). The memory of the states.
How: all in one process; each round times the passes and a few steps of either kind, in
an order drawn afresh; ``(pass / (N R / B) + step) / random step`` is taken within a
round; median of the ratios, and min-max.
Required: at most 1.05 times ``1 + T / (3 l R)``, with T frames per video, l per clip:
1.17 at R = 16 and 1.04 at R = 64 for T = 120, l = 15. (Mori and Ukita print 1.48 and
1.03 on a V100.)

    python benchmarks/bptt.py [--architecture vresnet_rlsp --rounds 5] [--out F]
"""

import itertools

import common
import keras
import numpy as np

from stablevid_tf import models, training
from stablevid_tf.losses import Charbonnier


def noisy(clean, random):
    """Gaussian noise of sigma 30."""
    return clean + random.standard_normal(clean.shape, "float32") * (30 / 255)


def small(clean, random):
    """Every fourth pixel: the least that a degradation can cost."""
    return clean[:, ::4, ::4]


def steps_of(clips, step, count):
    """A function that trains on some batches."""
    turn = itertools.cycle(range(len(clips)))

    def run():
        for _ in range(count):
            step(*clips[next(turn)])

    return run


def main():
    parser = common.arguments(
        __doc__,
        architecture="vresnet_rlsp",
        features=64,
        videos=4,
        length=120,
        frames=15,
        size=64,
        batch=4,
        steps=2,
        rounds=5,
        dtype="float32",
        state="float16",
    )
    parser.add_argument("--reuse", nargs="+", type=int, default=[16, 64], metavar="R")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    shape = (options.length, 2 * options.size, 2 * options.size, 3)
    videos = [random.integers(0, 256, shape, "uint8") for _ in range(options.videos)]
    keras.utils.set_random_seed(0)
    model = models.build(
        options.architecture, features=options.features, dtype=options.dtype
    )
    model.compile(keras.optimizers.Adam(1e-4), loss=Charbonnier(), jit_compile=False)
    given = {
        "frames": options.frames,
        "size": options.size,
        "batch_size": options.batch,
        "degrade": small if model.scale == 4 else noisy,
    }

    random_start = training.RandomInit(model, videos, **given)
    count = options.steps
    timed = {"random": steps_of(random_start, model.train_on_batch, count)}
    partial = {
        reuse: training.PIBPTT(model, videos, reuse=reuse, dtype=options.state, **given)
        for reuse in options.reuse
    }
    for reuse, clips in partial.items():
        # Traced before anything is timed; the states are those of epoch 0.
        clips.prepare()
        timed[f"pass, R = {reuse}"] = clips.prepare
        timed[f"partial, R = {reuse}"] = steps_of(clips, model.train_on_batch, count)
    took = common.interleave(timed, options.rounds)

    rows, verdicts, costs = [], [], {}
    for name, times in took.items():
        each = times if name.startswith("pass") else times / count
        rows.append((name, f"{1e3 * np.median(each):.1f} ms"))
    for reuse, clips in partial.items():
        costs[reuse] = cost = clips.cost
        step = took[f"pass, R = {reuse}"] / len(clips)
        step = step + took[f"partial, R = {reuse}"] / count
        ratio = step / (took["random"] / count)
        must = 1 + options.length / (3 * options.frames * reuse)
        low, high = ratio.min(), ratio.max()
        rows.append((f"step, R = {reuse}, of random", f"{np.median(ratio):.3f}"))
        rows.append(("  min-max", f"{low:.3f}-{high:.3f}"))
        room = cost["bytes_in_memory"] + cost["bytes_on_disk"]
        rows.append(
            (f"  {cost['states']} states and their videos", f"{room / 2**20:.1f} MiB")
        )
        name = f"PI-BPTT, R = {reuse}, over 1 + T / (3 l R) = {must:.3f}"
        verdicts.append(common.verdict(name, ratio / must, at_most=1.05))
    common.table(("what", "median"), rows)
    seconds = {name: list(times) for name, times in took.items()}
    common.write(
        options.out,
        options=vars(options),
        seconds=seconds,
        costs=costs,
        verdicts=verdicts,
    )


if __name__ == "__main__":
    main()
