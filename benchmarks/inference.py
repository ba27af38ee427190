"""What a constraint costs at inference: nothing, once folded.

Measured: seconds for a whole clip (``model(clip)``, compiled) and for one frame
(``model.step``) of a folded VResNet-feat with SRN-C on every convolution, against
the same network built without a constraint; beside it the constrained model as
trained, which computes its effective kernels at every call.
How: all in one process; each round times every variant once, in an order drawn
afresh; the ratio is taken within a round; median of the ratios, and min-max.
Required: 1.00 within what noise allows, here at most 1.02.

    python benchmarks/inference.py [--features 64 --size 128 --rounds 25] [--out F]
"""

import common
import keras
import numpy as np

from stablevid_tf import backend, models
from stablevid_tf.constraints import SRNC


def warm_vectors(model, clip):
    """One training call: the model owns its vectors, as after training."""
    model(clip[:, :1], training=True)
    return model


def whole_clip(model, clip):
    run = backend.compile(lambda frames: model(frames))
    return lambda: keras.ops.convert_to_numpy(run(clip))


def per_step(model, frame):
    # The same state every time: a random network left to itself may run away.
    _, state = model.step(frame, model.initial_state(frame))
    return lambda: keras.ops.convert_to_numpy(model.step(frame, state)[0])


def main():
    options = common.arguments(
        __doc__, features=64, frames=7, size=128, rounds=25
    ).parse_args()
    build = lambda constraint: models.build(  # noqa: E731
        "vresnet_feat", features=options.features, constraint=constraint
    )
    shape = (1, options.frames, options.size, options.size, 3)
    clip = np.random.default_rng(0).uniform(size=shape).astype("float32")
    clip = keras.ops.convert_to_tensor(clip)

    effective = warm_vectors(build(SRNC(2.0, 0.1, where="all")), clip)
    found = {
        "plain": build(None),
        "folded": effective.fold(),
        "effective": effective,
    }
    rows, closing, seconds = [], [], {}
    for what, make, x in (
        ("clip", whole_clip, clip),
        ("step", per_step, clip[:, 0]),
    ):
        took = common.interleave(
            {name: make(model, x) for name, model in found.items()},
            options.rounds,
            warm=2,
        )
        rows += common.ratio_rows(took, "plain", f"{what}: ")
        seconds |= {f"{what} {name}": list(times) for name, times in took.items()}
        closing.append((f"inference {what}, folded", took["folded"] / took["plain"]))

    common.table(("call", "median", "ratio", "min-max"), rows)
    verdicts = [common.verdict(name, ratio, at_most=1.02) for name, ratio in closing]
    common.write(options.out, options=vars(options), seconds=seconds, verdicts=verdicts)


if __name__ == "__main__":
    main()
