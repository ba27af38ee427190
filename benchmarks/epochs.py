"""What an epoch of `fit` costs beyond its batches.

Measured: seconds of an epoch of a small network on a `ClipDataset`, over the seconds of
its batches made and trained on one by one. As `fit` of a `Restorer` is, and as Keras'
own: it leaves a thread of TensorFlow to tune the reading of data, and waits for it
where an epoch ends, up to as long again as the epoch itself. Below 1: batches are made
while others are trained on.
How: epochs of several lengths, as the wait depends on the length; the three ways in an
order drawn afresh each round, in one process.

    python benchmarks/epochs.py --clips FOLDER
"""

import keras
from common import arguments, interleave, spread, table, write

from stablevid_tf import data, models
from stablevid_tf.losses import Charbonnier

STEPS = (10, 15, 20, 30, 40, 60)


def main():
    parser = arguments(__doc__, clips="", rounds=3)
    options = parser.parse_args()
    if not options.clips:
        parser.error("--clips: a folder of videos")
    model = models.build("vresnet_feat", features=8, blocks=2)
    model.compile("adam", loss=Charbonnier())
    clips = data.ClipDataset(options.clips, size=48, batch_size=2)

    def ours():
        model.fit(clips, verbose=0)

    def keras_own():
        keras.Model.fit(model, clips, verbose=0)

    def one_by_one():
        for index in range(len(clips)):
            model.train_on_batch(*clips[index])

    ways = {"one by one": one_by_one, "fit": ours, "Keras' own": keras_own}
    rows, figures = [], {}
    for clips.steps in STEPS:
        took = interleave(ways, options.rounds)
        for name in list(ways)[1:]:
            ratio = spread(took[name] / took["one by one"])
            figures[f"{name}, {clips.steps} steps"] = ratio
            shown = [f"{ratio[key]:.2f}" for key in ("median", "min", "max")]
            mean = f"{took[name].mean():.2f} s"
            rows.append((f"{name}, {clips.steps} steps", mean, *shown))
    table(("epoch", "mean", "over its batches", "least", "most"), rows)
    write(options.out, **figures)


if __name__ == "__main__":
    main()
