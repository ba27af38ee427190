"""Which model may run for hours: every entry against every test.

Measured: for each model the verdicts of the temporal receptive field, of recovery from
the state it left, of a long run over made-up pictures (four sequences: still, panned,
darkened and brightened, changing every hundred frames), and of the certificate; the
largest loop gain; the verdict of all together.
How: ``diagnostics.diagnose`` with its defaults, but for the options below. With
--rlsp-weights FILE.npz the public RLSP weights are run too, on a still 48x48 crop of
the frames ``lr`` in the same file.

    python benchmarks/stability.py [NAME...] [--frames 2000 --size 64 --iterations 500]
"""

import time

import common
import numpy as np

from stablevid_tf import diagnostics, models, zoo
from stablevid_tf.zoo import entries

HEAD = ("model", "field", "recovery", "long run", "certificate", "gain", "verdict")


def row(found):
    """A line of the table."""
    verdicts = [
        part if isinstance(part, str) else part.verdict
        for part in (found.field, found.recovery, found.long_run, found.certificate)
    ]
    gains = [loop.gain for loop in found.certificate.loops]
    # None: a network without loops, or with one that has no bound.
    largest = f"{max(gains):.3g}" if gains else "-"
    return (found.name, *verdicts, largest, found.verdict)


def rlsp(path):
    """The public network, and a still scene that it fails on."""
    stored = np.load(path)
    features = stored["layer1_kernel"].shape[-1]
    model = models.build("rlsp", features=features).load_public_weights(stored)
    model.name = f"rlsp_7_{features} (public)"
    frame = stored["lr"][0, :48, :48].astype("float32") / 255
    return model, frame


def main():
    parser = common.arguments(__doc__, frames=2000, tau=40, size=64, iterations=500)
    parser.add_argument("names", nargs="*", help="entries; all unless said")
    parser.add_argument("--rlsp-weights", help="the public weights, an .npz file")
    parser.add_argument("--save", help="folder for the reports")
    options = parser.parse_args()
    settings = {
        "length": options.frames,
        "tau": options.tau,
        "size": options.size,
        "iterations": options.iterations,
    }
    cases = [(name, None) for name in options.names or zoo.names()]
    if options.rlsp_weights:
        cases.append((None, options.rlsp_weights))
    rows, seconds = [], {}
    for name, weights in cases:
        start = time.perf_counter()
        if name:
            _, entry = entries.find(name)
            given = {"sigma": entry["input"].get("sigma")}
            model = zoo.load(name)
        else:
            model, frame = rlsp(weights)
            given = {"frames": [frame], "size": 48}
        found = diagnostics.diagnose(model, **(settings | given))
        seconds[found.name] = time.perf_counter() - start
        rows.append(row(found))
        print(found.summary(), f"({seconds[found.name]:.0f} s)\n", flush=True)
        if options.save:
            found.save(f"{options.save}/{found.name}")
    common.table(HEAD, rows)
    common.write(options.out, options=vars(options), rows=rows, seconds=seconds)


if __name__ == "__main__":
    main()
