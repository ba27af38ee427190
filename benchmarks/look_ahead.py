"""What a bidirectional model loses by streaming, as a function of the look-ahead L.

Measured: PSNR between the streamed frames and those of the whole-clip call, over all
frames and of the worst one; PSNR of both against the truth, after clipping; calls a
frame.
How: `--frames` frames of a slow pan over a photograph (a pixel in `--still` frames),
with noise of sigma `--sigma` / 255. The model is an entry of the zoo, a .keras file, or
an architecture's name: this one is built untrained, with `--features` and a body of
`--stages`; against the truth its figures mean nothing. Its loops are multiplied by
`--dampening`, so that it forgets as a trained one does; 1 leaves a model as it is.
Required: nothing; from the table one reads the L that a model needs.

    python benchmarks/look_ahead.py [--model NAME --frames 96 --size 64] [--out F]
"""

import common
import keras
import numpy as np
from guard import pan, psnr

from stablevid_tf import models, streaming
from stablevid_tf.cli.load_model import load_model

AHEAD = (0, 1, 2, 4, 8, 16)


def model_of(options):
    """The model, and what it is in words."""
    if options.model in models.names():
        keras.utils.set_random_seed(0)
        backbone = options.model.split("_")[0]
        stages = {"vresnet": "blocks", "vdncnn": "depth"}.get(backbone)
        sizes = {stages: options.stages} if stages else {}
        model = models.build(options.model, features=options.features, **sizes)
        words = f"{options.model}, {options.features} features, untrained"
    else:
        model, words = load_model(options.model), options.model
    if options.dampening != 1:
        model = models.dampened(model, options.dampening)
        words += f", loops x {options.dampening:g}"
    return model, words


def main():
    parser = common.arguments(
        __doc__,
        model="vresnet_birlsp",
        features=16,
        stages=2,
        dampening=0.5,
        frames=96,
        size=64,
        still=4,
        sigma=30.0,
    )
    options = parser.parse_args()
    model, words = model_of(options)
    pairs = list(pan(options.frames, options.size, options.still, options.sigma / 255))
    clean, noisy = (np.stack(part) for part in zip(*pairs, strict=True))
    whole = model.fold().predict_on_batch(noisy[None])[0]
    print(f"{words}; {options.frames} frames of {options.size}x{options.size}")

    rows, figures = [], []
    for ahead in AHEAD:
        out = np.stack(list(streaming.restore(model, noisy, look_ahead=ahead)))
        error = np.mean((out - whole) ** 2, axis=(1, 2, 3))
        with np.errstate(divide="ignore"):
            to_whole = -10 * np.log10([error.mean(), error.max()])
        kept = max(8, 2 * ahead)
        found = {
            "look_ahead": ahead,
            "calls": (kept + 2 * ahead) / kept,
            "psnr_to_whole": to_whole[0],
            "worst_frame": to_whole[1],
            "psnr": np.mean([psnr(*pair) for pair in zip(out, clean, strict=True)]),
        }
        figures.append(found)
        rows.append((f"L = {ahead}", *(f"{v:.2f}" for v in list(found.values())[1:])))
    alone = np.mean([psnr(*pair) for pair in zip(whole, clean, strict=True)])
    rows.append(("whole clip", "1.00", "", "", f"{alone:.2f}"))
    head = ("", "calls a frame", "dB to whole clip", "worst frame", "dB to truth")
    common.table(head, rows)
    common.write(options.out, options=vars(options), model=words, figures=figures)


if __name__ == "__main__":
    main()
