"""Memory of streaming: the same at 2,000 frames as at 200.

Measured: the high-water mark of resident memory (VmHWM in /proc/self/status, Linux)
of a process that streams frames of 448x256 through ``streaming.restore``, frames made
on the fly; and the largest difference between the first 64 streamed frames and the
whole-clip call.
How: every run is a child process of its own; lengths alternate; the ratio is taken
within a round; median of the ratios, and min-max.
Required: peak at 2,000 frames at most 1.05 of that at 200; difference at most 1e-5.

    python benchmarks/streaming_memory.py [--model tiny --rounds 1] [--out F]
"""

import json
import subprocess
import sys
from pathlib import Path

import common
import numpy as np

SHORT = 200


def frames(count, width, height):
    """Noisy frames of a pattern that drifts: frame t depends on t alone."""
    y, x = np.mgrid[:height, :width] / 16.0
    for t in range(count):
        noise = np.random.default_rng(t).standard_normal(
            (height, width, 3), dtype="float32"
        )
        waves = [np.sin(x + 0.1 * t), np.sin(y - 0.07 * t), np.sin(x + y + 0.05 * t)]
        yield (0.5 + 0.4 * np.stack(waves, -1)).astype("float32") + noise * 30 / 255


def high_water():
    """Peak resident memory of this process so far, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmHWM in /proc/self/status: this benchmark needs Linux")


def load(name):
    """The zoo's entry, or where there is none the same network untrained."""
    import keras

    from stablevid_tf import models, zoo

    if hasattr(zoo, "names") and name in zoo.names():
        return zoo.load(name), name
    keras.utils.set_random_seed(0)
    return models.build("vresnet_feat", features=16), "vresnet_feat-16, untrained"


def child_stream(name, count, width, height):
    from stablevid_tf import streaming

    model, used = load(name)
    peaks = {}
    for i, _ in enumerate(streaming.restore(model, frames(count, width, height)), 1):
        if i % SHORT == 0 or i == count:
            peaks[i] = high_water()
    return {"model": used, "peak": high_water(), "peaks": peaks}


def child_compare(name, count, width, height):
    from stablevid_tf import streaming

    model, used = load(name)
    streamed = np.stack(list(streaming.restore(model, frames(count, width, height))))
    fold = getattr(model, "fold", None)
    clip = np.stack(list(frames(count, width, height)))[None]
    whole = np.asarray((fold() if fold else model)(clip))[0]
    return {"model": used, "difference": float(np.abs(streamed - whole).max())}


def child(what, options, count):
    """The figures of one child process."""
    command = [sys.executable, __file__, "--child", what, "--model", options.model]
    command += ["--long", str(count), "--width", str(options.width)]
    command += ["--height", str(options.height)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = common.arguments(
        __doc__, model="tiny", long=2000, compare=64, width=448, height=256, rounds=1
    )
    parser.add_argument("--child", choices=["stream", "compare"], help="internal")
    options = parser.parse_args()
    if options.child:
        run = {"stream": child_stream, "compare": child_compare}[options.child]
        print(
            json.dumps(run(options.model, options.long, options.width, options.height))
        )
        return

    same = child("compare", options, options.compare)
    ratios, rows, runs = [], [], []
    for i in range(options.rounds):
        short = child("stream", options, SHORT)
        long = child("stream", options, options.long)
        ratios.append(long["peak"] / short["peak"])
        runs += [short, long]
        for count, run in ((SHORT, short), (options.long, long)):
            rows.append((f"round {i}: {count} frames", f"{run['peak']:.0f} MiB"))
    print(f"model: {same['model']}; {options.width}x{options.height}")
    common.table(("run", "peak"), rows)
    name = f"streaming_memory peak, {options.long} against {SHORT} frames"
    verdicts = [
        common.verdict(
            f"streaming_memory against the whole clip, {options.compare} frames",
            [same["difference"]],
            at_most=1e-5,
            digits=8,
            what="difference",
        ),
        common.verdict(name, ratios, at_most=1.05),
    ]
    common.write(
        options.out, options=vars(options), same=same, runs=runs, verdicts=verdicts
    )


if __name__ == "__main__":
    main()
