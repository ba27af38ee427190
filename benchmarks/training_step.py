"""What a constraint costs: a training step with it against a step without.

Measured: seconds of one ``model.train_on_batch`` of VResNet-feat, unconstrained, with
SRN-C(2, 0.1) on every convolution, and with the loops alone held to 0.95; in float32
(the figure required) and mixed_bfloat16.
How: all in one process; each round times every variant once, in an order drawn
afresh; the ratio is taken within a round; median of the ratios, and min-max.
Required: at most 1.05 times the unconstrained step in float32.

    python benchmarks/training_step.py [--features 64 --batch 8 --rounds 12] [--out F]
"""

import gc

import common
import keras
import numpy as np

from stablevid_tf import models
from stablevid_tf.constraints import SRNC
from stablevid_tf.losses import Charbonnier

CONSTRAINTS = {
    "none": None,
    "SRN-C(2, 0.1), all": SRNC(2.0, 0.1, where="all"),
    "SRN-C(0.95), loop": SRNC(0.95, where="loop"),
}


def stepper(constraint, dtype, options, noisy, clean):
    """A function that does one training step of a fresh model."""
    keras.utils.set_random_seed(0)
    model = models.build(
        "vresnet_feat", features=options.features, constraint=constraint, dtype=dtype
    )
    model.compile(keras.optimizers.Adam(1e-4), loss=Charbonnier(), jit_compile=False)
    return lambda: model.train_on_batch(noisy, clean)


def main():
    parser = common.arguments(
        __doc__, features=64, batch=8, frames=7, size=64, rounds=12
    )
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", "mixed_bfloat16"], metavar="POLICY"
    )
    options = parser.parse_args()
    random = np.random.default_rng(0)
    shape = (options.batch, options.frames, options.size, options.size, 3)
    clean = random.uniform(size=shape).astype("float32")
    noisy = clean + random.normal(size=shape).astype("float32") * 30 / 255

    rows, closing, seconds = [], [], {}
    for dtype in options.dtypes:
        steps = {
            name: stepper(constraint, dtype, options, noisy, clean)
            for name, constraint in CONSTRAINTS.items()
        }
        # Two calls are not timed: tracing, and vectors found from random ones.
        took = common.interleave(steps, options.rounds, warm=2)
        del steps
        gc.collect()
        rows += common.ratio_rows(took, "none", f"{dtype}: ")
        seconds |= {f"{dtype} {name}": list(times) for name, times in took.items()}
        closing += [
            (f"training_step {dtype} {name}", times / took["none"])
            for name, times in took.items()
            if name != "none"
        ]

    common.table(("step", "median", "ratio", "min-max"), rows)
    verdicts = [common.verdict(name, ratio, at_most=1.05) for name, ratio in closing]
    common.write(options.out, options=vars(options), seconds=seconds, verdicts=verdicts)


if __name__ == "__main__":
    main()
