"""What the guard costs, and what it saves: an unstable model on a long video.

Measured: seconds of `streaming.restore` with the guard against none, on an entry that
gives it no cause to act (`--watched`, `--size`, `--clip`); then an unstable
model (an entry, its recurrent slices times `--factor`) on `--frames` frames of a slow
pan over a photograph (a pixel in `--still` frames) with noise of sigma 30: with the
guard, with none, and every frame by itself.
How: both restore the clip side by side, each frame timed with one and with the other
in an order drawn afresh, the ratio of their sums taken within a round; median, min and
max. The long run: PSNR of every frame after clipping; the longest run of frames below
the frame restored by itself; steps beyond one a frame, counted.
Required: at most 1.03 times the time; no run longer than the burn-in (8 frames).

    python benchmarks/guard.py [--watched NAME --size 160 --clip 300 --rounds 4]
        [--entry NAME --factor 1.08 --frames 10000 --crop 64 --still 100] [--out F]
"""

import time

import common
import numpy as np
import skimage.data

from stablevid_tf import models, streaming, zoo
from stablevid_tf.models import dampened

SIGMA = 30 / 255


def pan(frames, crop, still, sigma=SIGMA):
    """(clean, noisy), one by one: to and fro over a photograph, a pixel in `still`."""
    picture = skimage.data.astronaut().astype("float32") / 255
    room = picture.shape[1] - crop
    random = np.random.default_rng(0)
    for t in range(frames):
        place = abs((t // still + room) % (2 * room) - room)
        clean = picture[50 : 50 + crop, place : place + crop]
        noise = sigma * random.normal(size=clean.shape)
        yield clean, (clean + noise).astype("float32")


def side_by_side(model, frames, strategies, random):
    """Seconds that the frames take with each strategy, all of them run in lockstep."""
    runs = {
        name: streaming.restore(model, frames, strategy)
        for name, strategy in strategies.items()
    }
    seconds = dict.fromkeys(runs, 0.0)
    for _ in frames:
        for name in random.permutation(list(runs)):
            start = time.perf_counter()
            next(runs[name])
            seconds[name] += time.perf_counter() - start
    return seconds


def counted(function):
    """`(what function() returns, the steps that models took within)`."""
    step, count = models.RecurrentRestorer.step, 0

    def counting(self, frame, state):
        nonlocal count
        count += 1
        return step(self, frame, state)

    models.RecurrentRestorer.step = counting
    try:
        return function(), count
    finally:
        models.RecurrentRestorer.step = step


def psnr(restored, clean):
    error = np.mean((np.clip(restored, 0, 1) - clean) ** 2)
    return -10 * np.log10(error) if np.isfinite(error) else -np.inf


def long_run(model, options, strategy):
    """PSNR of every frame."""
    cleans = (clean for clean, _ in pan(options.frames, options.crop, options.still))
    noisy = (noisy for _, noisy in pan(options.frames, options.crop, options.still))
    restored = streaming.restore(model, noisy, strategy)
    return np.array([psnr(*pair) for pair in zip(restored, cleans, strict=True)])


def longest(flags):
    """The longest run of true ones."""
    best = length = 0
    for flag in flags:
        length = length + 1 if flag else 0
        best = max(best, length)
    return best


def main():
    parser = common.arguments(
        __doc__,
        watched="vresnet_feat_srnc",
        size=160,
        clip=300,
        rounds=4,
        entry="vresnet_rlsp_still_unstable",
        factor=1.08,
        check_every=500,
        frames=10_000,
        crop=64,
        still=100,
    )
    options = parser.parse_args()

    model = zoo.load(options.watched).fold()
    clip = [noisy for _, noisy in pan(options.clip, options.size, options.still)]
    guard = streaming.Guard()
    strategies, random = {"none": None, "guard": guard}, np.random.default_rng(0)
    side_by_side(model, clip[:20], strategies, random)
    rounds = [
        side_by_side(model, clip, strategies, random) for _ in range(options.rounds)
    ]
    took = {name: np.array([r[name] for r in rounds]) for name in strategies}
    assert not guard.events, "the guard acted: these are not the costs of watching"
    common.table(
        ("restore", "median", "ratio", "min-max"),
        common.ratio_rows(took, "none", f"{options.clip} frames: "),
    )

    unstable = dampened(zoo.load(options.entry), options.factor)
    guard = streaming.Guard(check_every=options.check_every)
    alone = long_run(unstable, options, None)
    single = long_run(unstable, options, streaming.Burst(1))
    guarded, steps = counted(lambda: long_run(unstable, options, guard))
    figures = {
        "onset without guard": int(np.argmax(alone < 0)) if alone.min() < 0 else None,
        "events": [f"{frame}: {reason}" for frame, reason in guard.events],
        "frames below single": int((guarded < single).sum()),
        "longest run below single": longest(guarded < single),
        "mean psnr": {"guard": guarded.mean(), "single": single.mean()},
        "worst against single": (guarded - single).min(),
        "steps per frame": steps / options.frames,
    }
    for name, value in figures.items():
        print(f"{name}: {value}")

    verdicts = [
        common.verdict("guard, watching", took["guard"] / took["none"], at_most=1.03),
        common.verdict(
            "guard, longest run below single-frame quality",
            [figures["longest run below single"]],
            at_most=guard.burn_in + 1,
            digits=0,
            what="frames",
        ),
    ]
    seconds = {name: list(times) for name, times in took.items()}
    common.write(
        options.out,
        options=vars(options),
        seconds=seconds,
        long_run=figures,
        verdicts=verdicts,
    )


if __name__ == "__main__":
    main()
