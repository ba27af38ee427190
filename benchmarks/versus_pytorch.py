"""Frames per second, frame by frame, against the same network in plain PyTorch.

Measured: seconds per frame of VResNet-feat with folded weights, a NumPy frame in and
a NumPy frame out: ``model.step`` here, there the plain nn.Conv2d network of
versus_pytorch_worker.py in eager mode under ``torch.inference_mode``, contiguous and
channels_last; the better layout counts. float32 and bfloat16 (weights and features; the
frame itself is added in float32 in both).
How: one worker process per framework, each with all cores; only one works at a time:
in every round each is asked once for --frames frames, in an order drawn afresh. The
ratio (ours / theirs, in frames per second) is taken within a round; median of the
ratios, and min-max. Outputs of 8 frames must agree to 1e-4 in float32 first.
Required: at least 1.00 in float32.

    pip install torch==2.13.0          # or --torch-python OTHER_VENV/bin/python
    python benchmarks/versus_pytorch.py [--rounds 12 --entry NAME] [--out F]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import common
import numpy as np

TORCH = ("torch contiguous", "torch channels_last")


def prepare(options, folder):
    """Folded weights of an entry, or random ones, in the form each side reads."""
    import keras

    from stablevid_tf import models, zoo

    keras.utils.set_random_seed(0)
    if options.entry:
        model = zoo.load(options.entry).fold()
    else:
        model = models.build("vresnet_feat", features=options.features)
        random = np.random.default_rng(0)
        for weight in model.trainable_weights:
            # Smaller kernels: a random state that stays bounded. Biases that count.
            noise = random.normal(0, 0.05, weight.shape)
            weight.assign(noise if weight.name == "bias" else 0.25 * weight.numpy())
    model.save(f"{folder}/model.keras")
    arrays = {}
    body = [conv for stage in model.cell.body for conv in stage.convs]
    for i, conv in enumerate([model.cell.head, *body, model.cell.tail]):
        arrays[f"kernel{i}"] = np.asarray(conv.kernel, "float32")
        arrays[f"bias{i}"] = np.asarray(conv.bias, "float32")
    np.savez(f"{folder}/weights.npz", **arrays)


def open_worker(options, name, folder, dtype):
    python = options.torch_python if name in TORCH else sys.executable
    file = Path(__file__).with_name("versus_pytorch_worker.py")
    return subprocess.Popen(
        [python, str(file), name, folder, dtype],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def ask(process, size, count, path="-"):
    process.stdin.write(f"{size} {count} {path}\n")
    answer = process.stdout.readline()
    if not answer:
        sys.exit("a worker stopped: see above")
    return json.loads(answer)


def measure(options, folder, dtype, rows, verdicts, seconds):
    workers = {
        name: open_worker(options, name, folder, dtype) for name in ("ours", *TORCH)
    }
    try:
        for name, process in workers.items():
            ask(process, "64x48", 8, f"{folder}/{name}.npy")
        outputs = {name: np.load(f"{folder}/{name}.npy") for name in workers}
        for name in TORCH:
            off = float(np.abs(outputs["ours"] - outputs[name]).max())
            print(f"{dtype}: {name} differs by {off:.2g}")
            if dtype == "float32" and not off < 1e-4:
                sys.exit("not the same network")
        for size in options.sizes:
            took = common.interleave(
                {
                    name: lambda p=process, s=size: ask(p, s, options.frames)
                    for name, process in workers.items()
                },
                options.rounds,
            )
            best = min(TORCH, key=lambda name: np.median(took[name]))
            for name, times in took.items():
                fps = options.frames / np.median(times)
                rows.append((f"{dtype} {size}: {name}", f"{fps:.3f} frames/s"))
                seconds[f"{dtype} {size} {name}"] = list(times)
            ratio = took[best] / took["ours"]
            verdicts.append((f"versus_pytorch {dtype} {size}, {best}", ratio))
    finally:
        for process in workers.values():
            process.stdin.close()
            process.wait()


def main():
    parser = common.arguments(
        __doc__, features=64, frames=4, rounds=12, torch_python=sys.executable, entry=""
    )
    parser.add_argument("--sizes", nargs="+", default=["448x256", "256x256"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    options = parser.parse_args()
    rows, ratios, seconds = [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(options, folder)
        for dtype in options.dtypes:
            measure(options, folder, dtype, rows, ratios, seconds)
    common.table(("frame by frame", "speed"), rows)
    verdicts = [common.verdict(name, ratio, at_least=1.0) for name, ratio in ratios]
    common.write(options.out, options=vars(options), seconds=seconds, verdicts=verdicts)


if __name__ == "__main__":
    main()
