"""A deblurring model that fails on a still scene, and three ways to keep it from that.

    python examples/long_still.py still.png

The scene is sharp and stands still, so the frame itself is the truth. Four runs: the
entry `ifi_rnn_rirn` alone, in bursts of 50 frames, and under the guard; and its twin
`ifi_rnn_rirn_hard`, trained alike under a Lipschitz constraint. Prints the PSNR of a
few frames and draws that of all, and the last frame of each run.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from skimage.data import astronaut

from stablevid_tf import metrics, streaming, zoo

RUNS = {
    "alone": ("ifi_rnn_rirn", lambda: None),
    "in bursts": ("ifi_rnn_rirn", lambda: streaming.Burst(50)),
    "under the guard": ("ifi_rnn_rirn", streaming.Guard),
    "constrained twin": ("ifi_rnn_rirn_hard", lambda: None),
}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", help="file to write")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128, help="of the scene, in pixels")
    args = parser.parse_args(argv)

    scene = astronaut()[100:, 150:][: args.size, : args.size].astype("float32") / 255
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 4)
    curves = figure.add_subplot(grid[:, :2])
    for at, (label, (name, strategy)) in enumerate(RUNS.items()):
        frames = [scene] * args.frames
        run = streaming.restore(zoo.load(name), frames, strategy=strategy())
        values = []
        for frame in run:
            values.append(float(metrics.psnr(np.clip(frame, 0, 1), scene)))
        shown = [t for t in (6, 99, 299, 999) if t < args.frames]
        told = ", ".join(f"{values[t]:.1f} at {t + 1}" for t in shown)
        print(f"{label}: {told}; lowest {min(values):.1f} dB", flush=True)
        curves.plot(np.arange(1, args.frames + 1), values, label=label)
        picture = figure.add_subplot(grid[at // 2, 2 + at % 2])
        picture.imshow(np.clip(frame, 0, 1))
        picture.set_title(f"{label}, frame {args.frames:,}", fontsize=9)
        picture.axis("off")
    curves.set(xscale="log", xlabel="frame", ylabel="PSNR to the still scene, dB")
    curves.spines[["top", "right"]].set_visible(False)
    curves.legend(frameon=False)
    figure.savefig(args.picture, dpi=100)


if __name__ == "__main__":
    main()
