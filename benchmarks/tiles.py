"""What tiles do to the picture, and what they save of memory.

Measured: for each overlap M, between tiled and untiled frames, PSNR (of all frames, and
of the last) and the largest difference; the seam: the mean absolute step across the
borders of tiles, divided by that at the same places of the untiled frame (1: nothing is
to be seen). The same of tiles that are each a video of their own, a state each, cut
hard and blended over the whole overlap: what the exchange of states and hard cuts are
for. Then peak resident memory (VmHWM, Linux) of a process that restores
`--memory-frames` frames of `--memory-size`, untiled and in tiles.
How: the middle of a photograph panned slowly with noise of sigma 30, restored by an
entry of the zoo or an architecture (untrained, dampened); frames of S x S in four
tiles, of S / 2 + M. Memory: each run a process of its own, that of one with a frame of
64x64, which is the program itself, given beside.
Required: equal (to 1e-5) at the default overlap; a seam within 1 % at it.

    python benchmarks/tiles.py [--model NAME --size 192 --frames 24] [--out F]
        [--memory-model NAME --memory-size 1920x1080 --memory-tile 512]
"""

import collections
import subprocess
import sys

import common
import numpy as np
from guard import pan
from look_ahead import model_of
from streaming_memory import frames as waves
from streaming_memory import high_water

from stablevid_tf import streaming
from stablevid_tf.streaming.restore import OVERLAP

OVERLAPS = (0, 8, 16, 24, 32)


def halves(size, overlap):
    """Two tiles along an axis: (what is seen, its weights if cut, if blended)."""
    place = np.arange(size, dtype="float32") - size // 2 + 0.5
    hard = place > 0
    ramp = np.clip(place / (2 * overlap) + 0.5, 0, 1) if overlap else hard
    first, second = slice(size // 2 + overlap), slice(size // 2 - overlap, size)
    return [
        (first, ~hard[first], 1 - ramp[first]),
        (second, hard[second], ramp[second]),
    ]


def apart(model, frames, overlap):
    """Tiles that are videos of their own: cut hard, and blended by a linear ramp."""
    cut, blended = np.zeros_like(frames), np.zeros_like(frames)
    for rows, *weights in halves(frames.shape[1], overlap):
        for columns, *across in halves(frames.shape[2], overlap):
            seen = frames[:, rows, columns]
            out = np.stack(list(streaming.restore(model, seen)))
            for whole, down, right in zip((cut, blended), weights, across, strict=True):
                whole[:, rows, columns] += np.outer(down, right)[..., None] * out
    return cut, blended


def seam(frames):
    """The mean absolute step across the middle, where the tiles meet."""
    at = frames.shape[1] // 2
    down = frames[:, at] - frames[:, at - 1]
    right = frames[:, :, at] - frames[:, :, at - 1]
    return (np.abs(down).mean() + np.abs(right).mean()) / 2


def compared(out, whole):
    """Figures of tiled frames."""
    error = np.mean((out - whole) ** 2, axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10([error.mean(), error[-1]])
    return {
        "psnr": psnr[0],
        "psnr_last": psnr[1],
        "largest": np.abs(out - whole).max(),
        "seam": seam(out) / seam(whole),
    }


def child(options, width, height, tile):
    """Peak memory of a process, MiB."""
    command = [sys.executable, __file__, "--child", f"{width}x{height}x{tile}"]
    for name in ("memory_model", "features", "stages", "memory_frames"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr[-300:] or f"ended with {done.returncode}"
    return float(done.stdout.splitlines()[-1]), None


def run_child(options):
    width, height, tile = map(int, options.child.split("x"))
    options.model, options.dampening = options.memory_model, 1.0
    model, _ = model_of(options)
    frames = waves(options.memory_frames, width, height)
    restored = streaming.restore(model, frames, tile=tile or None)
    collections.deque(restored, maxlen=0)
    print(high_water())


def main():
    parser = common.arguments(
        __doc__,
        model="vresnet_feat_srnc",
        features=64,
        stages=5,
        dampening=1.0,
        size=192,
        frames=24,
        still=4,
        memory_model="vresnet_feat",
        memory_size="960x540",
        memory_frames=2,
        memory_tile=256,
        child="",
    )
    options = parser.parse_args()
    if options.child:
        run_child(options)
        return

    model, words = model_of(options)
    noisy = np.stack([f for _, f in pan(options.frames, options.size, options.still)])
    whole = np.stack(list(streaming.restore(model, noisy)))
    print(f"{words}; {options.frames} frames of {options.size}x{options.size}")
    rows, figures = [], {}
    for overlap in OVERLAPS:
        tile = options.size // 2 + overlap
        out = np.stack(
            list(streaming.restore(model, noisy, tile=tile, overlap=overlap))
        )
        cut, blended = apart(model, noisy, overlap)
        ways = {"tiles": out, "apart": cut, "apart, blended": blended}
        for way, frames in ways.items():
            found = figures[f"{way} {overlap}"] = compared(frames, whole)
            shown = [f"{found[k]:.2f}" for k in ("psnr", "psnr_last")]
            shown += [f"{found['largest']:.1e}", f"{found['seam']:.4f}"]
            rows.append((f"M = {overlap}, {way}", *shown))
    common.table(("", "dB to untiled", "last frame", "largest", "seam"), rows)

    rows, memory = [], {}
    width, height = map(int, options.memory_size.split("x"))
    for name, *shape in (
        ("a frame of 64x64", 64, 64, 0),
        ("untiled", width, height, 0),
        (f"tiles of {options.memory_tile}", width, height, options.memory_tile),
    ):
        memory[name], wrong = child(options, *shape)
        rows.append((name, wrong or f"{memory[name]:.0f} MiB"))
    head = f"{options.memory_model}, {options.features} features, {options.memory_size}"
    common.table((head, "peak"), rows)

    default = figures[f"tiles {OVERLAP}"]
    verdicts = [
        common.verdict(
            f"tiles, overlap {OVERLAP}, against untiled",
            [default["largest"]],
            at_most=1e-5,
            digits=8,
            what="difference",
        ),
        common.verdict(
            f"tiles, overlap {OVERLAP}, step at the seam",
            [default["seam"]],
            at_most=1.01,
        ),
    ]
    common.write(
        options.out,
        options=vars(options),
        model=words,
        figures=figures,
        memory=memory,
        verdicts=verdicts,
    )


if __name__ == "__main__":
    main()
