"""One side of versus_pytorch.py: a process that holds one framework.

Usage: python versus_pytorch_worker.py NAME FOLDER DTYPE, where NAME is "ours",
"torch contiguous" or "torch channels_last" and FOLDER holds the weights. Answers each
line ``size count path`` on its input with the seconds that ``count`` frames took,
and saves the last output at ``path`` unless that is "-".
"""

import json
import os
import sys
import time

import numpy as np


def frame(size):
    """[1, H, W, 3] float32 for a size written as 448x256."""
    width, height = map(int, size.split("x"))
    random = np.random.default_rng(0)
    return random.uniform(size=(1, height, width, 3)).astype("float32")


class Ours:
    """stablevid_tf's own step; ``folder`` holds ``model.keras``."""

    def __init__(self, folder, dtype):
        import keras

        from stablevid_tf import models

        saved = keras.saving.load_model(f"{folder}/model.keras", compile=False)
        self.model = models.build(
            "vresnet_feat",
            features=saved.cell.features,
            blocks=saved.cell.stages,
            dtype="mixed_bfloat16" if dtype == "bfloat16" else "float32",
        )
        self.model.set_weights(saved.get_weights())
        self.numpy = keras.ops.convert_to_numpy

    def start(self, x):
        return self.model.initial_state(x)

    def step(self, x, state):
        out, state = self.model.step(x, state)
        return self.numpy(out), state


class Theirs:
    """The same network in PyTorch: ``x + K2 relu(K1 [x, h])`` per block."""

    def __init__(self, folder, dtype, layout):
        import torch

        torch.set_num_threads(os.cpu_count())
        self.torch, self.layout = torch, getattr(torch, layout)
        self.dtype = getattr(torch, dtype)
        arrays = np.load(f"{folder}/weights.npz")
        kernels = [arrays[f"kernel{i}"] for i in range(len(arrays.files) // 2)]
        convs = []
        for i, kernel in enumerate(kernels):
            conv = torch.nn.Conv2d(*kernel.shape[2:], kernel.shape[0], padding="same")
            conv.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            conv.bias.data = torch.from_numpy(arrays[f"bias{i}"])
            convs.append(conv.to(self.dtype, memory_format=self.layout))
        self.head, *self.body, self.tail = convs

    def start(self, x):
        b, h, w, _ = x.shape
        shape = (b, self.head.out_channels, h, w)
        zero = self.torch.zeros(shape, dtype=self.dtype)
        return [zero.contiguous(memory_format=self.layout)] * (len(self.body) // 2)

    def step(self, x, state):
        torch = self.torch
        with torch.inference_mode():
            image = torch.from_numpy(x).permute(0, 3, 1, 2)
            image = image.contiguous(memory_format=self.layout)
            x, new = torch.relu_(self.head(image.to(self.dtype))), []
            for i, h in enumerate(state):
                first, second = self.body[2 * i : 2 * i + 2]
                x = x + second(torch.relu_(first(torch.cat([x, h], 1))))
                new.append(x)
            out = image + self.tail(x).float()
            return np.ascontiguousarray(out.permute(0, 2, 3, 1).numpy()), new


def main(name, folder, dtype):
    if name == "ours":
        net = Ours(folder, dtype)
    else:
        layouts = {"contiguous": "contiguous_format", "channels_last": "channels_last"}
        net = Theirs(folder, dtype, layouts[name.split()[1]])
    for line in sys.stdin:
        size, count, path = line.rstrip("\n").split(" ", 2)
        x = frame(size)
        state = net.start(x)
        begin = time.perf_counter()
        for _ in range(int(count)):
            out, state = net.step(x, state)
        took = time.perf_counter() - begin
        if path != "-":
            np.save(path, out)
        # Answered last: whoever asked may read the file at once.
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
