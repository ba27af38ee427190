"""What the temporal receptive field costs: the search against the passes it needs.

Measured: seconds of one iteration of the search on VResNet-feat (gradient, Adam,
projection, influence of every frame, and its share of the looks at what follows the
centre, one in twenty iterations), against the bare forward and backward pass over the
same tau + 1 frames, the time loop written out frame by frame. And how much cheaper
early stopping makes a search of 500 iterations on the model with its recurrent slices
scaled down and up: iterations and looks, at the seconds measured.
How: the passes all in one process; each round times every variant once, in an order
drawn afresh; the ratio is taken within a round; median of the ratios, and min-max.
Required: at most 1.15 times the bare passes; early stopping at least 5 times cheaper.

    python benchmarks/receptive_field.py [--features 64 --size 64 --rounds 7] [--out F]
"""

import common
import keras
import numpy as np
from keras import ops

from stablevid_tf import backend, diagnostics, models
from stablevid_tf.diagnostics.receptive_field import _LOOK, _Search
from stablevid_tf.diagnostics.subject import Subject
from stablevid_tf.models import dampened

SCALED = {"stable": 0.2, "unstable": 8.0}


def bare(model, frames):
    """A function that does one forward and one backward pass, and no more."""
    centre = frames.shape[2] // 2

    def pixel(frames):
        state = model.initial_state(frames[0])
        for t in range(frames.shape[0]):
            restored, state = model.cell(frames[t], state)
        return ops.abs(restored[0, centre, centre, 1])

    passes = backend.compile(lambda frames: backend.gradient(pixel, frames))
    return lambda: ops.convert_to_numpy(passes(frames)[1])


def iteration(search, frames):
    """A function that does one iteration of the search."""
    x = ops.convert_to_tensor(frames)
    zeros, count = ops.zeros_like(x), ops.ones(())
    channel = ops.ones((), "int32")
    return lambda: ops.convert_to_numpy(
        search.update(x, zeros, zeros, count, channel)[0]
    )


def main():
    parser = common.arguments(
        __doc__, features=64, blocks=5, tau=40, size=64, iterations=500, rounds=7
    )
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = models.build(
        "vresnet_feat", features=options.features, blocks=options.blocks
    )
    shape = (2 * options.tau + 1, options.size, options.size, 3)
    frames = np.random.default_rng(0).uniform(size=shape).astype("float32")
    past = frames[: options.tau + 1]
    search = _Search(Subject(model), options.tau, options.size, 0.05)
    took = common.interleave(
        {
            "bare passes": bare(model, ops.convert_to_tensor(past[:, None])),
            "iteration": iteration(search, past),
            "look": lambda: search.look(frames),
        },
        options.rounds,
    )
    common.table(
        ("pass", "median", "ratio", "min-max"),
        common.ratio_rows(took, "bare passes", ""),
    )
    one, look = took["iteration"], took["look"]
    verdicts = [
        common.verdict(
            "receptive_field search / bare passes",
            (one + look / _LOOK) / took["bare passes"],
            at_most=1.15,
        )
    ]
    found = {}
    for name, factor in SCALED.items():
        field = diagnostics.temporal_receptive_field(
            dampened(model, factor),
            tau=options.tau,
            size=options.size,
            iterations=options.iterations,
        )
        print(field.summary())
        found[name] = {"verdict": field.verdict, "iterations": field.iterations}
        # One look before the search, one every so often, and without early stopping
        # one before and one after it.
        early = field.iterations * one + (1 + field.iterations // _LOOK) * look
        verdicts.append(
            common.verdict(
                f"receptive_field early stopping, {name}",
                (options.iterations * one + 2 * look) / early,
                at_least=5,
                digits=1,
                what="times cheaper",
            )
        )
    common.write(
        options.out,
        options=vars(options),
        seconds={name: list(times) for name, times in took.items()},
        fields=found,
        verdicts=verdicts,
    )


if __name__ == "__main__":
    main()
