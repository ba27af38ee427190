"""Figure 2: untrained recurrent networks diverge, feedforward ones do not.

Five convolutions with ReLU between them (one in, three inside, one out), kernels drawn
from a Gaussian of deviation 0.1, run over random frames: the norm of each output frame.
After Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
Processing", figure 2b. The paper gives neither width nor frame size; here 64 features
and 32x32. About a minute.

    python examples/paper/figure_2.py [--out figure_2.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

from stablevid_tf import models

ARCHITECTURES = {
    "vdncnn_single": "single frame",
    "vdncnn_single_mf3": "three frames",
    "vdncnn_shift": "feature shifting",
    "vdncnn_feat": "feature recurrence",
    "vdncnn_frame": "frame recurrence",
    "vdncnn_rlsp": "RLSP",
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="figure_2.png")
parser.add_argument("--features", type=int, default=64)
parser.add_argument("--frames", type=int, default=50)
args = parser.parse_args()

random = np.random.default_rng(0)
frames = random.random((1, args.frames, 32, 32, 3), dtype="float32")

figure = Figure(figsize=(7, 3.5), layout="constrained")
axes = figure.subplots()
for i, (name, title) in enumerate(ARCHITECTURES.items()):
    model = models.build(name, depth=3, features=args.features, skip=False)
    for weight in model.trainable_variables:
        kernel = len(weight.shape) == 4
        weight.assign(random.normal(scale=0.1 if kernel else 0, size=weight.shape))
    restored = model.predict(frames, verbose=0)[0]
    norms = np.linalg.norm(
        restored.reshape(len(restored), -1).astype("float64"), axis=1
    )
    feedforward = i < 3
    axes.plot(
        np.arange(1, len(norms) + 1),
        norms,
        color="C0" if feedforward else "C1",
        linestyle=("-", "--", ":")[i % 3],
        label=title,
    )
    growth = (norms[-1] / norms[len(norms) // 2]) ** (2 / len(norms))
    print(f"{title:20s} norm {norms[0]:.3g} -> {norms[-1]:.3g}, x{growth:.2f} a frame")
axes.set(yscale="log", xlabel="frame", ylabel="norm of the output frame")
axes.legend(frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(args.out, dpi=150)
