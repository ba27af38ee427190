"""Breed a model that fails on long videos: unconstrained, still clips, a high rate.

After Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
Processing", whose long trainings (600,000 steps) bred models that diverge on real
videos. Trains one, then asks all of the diagnosis (see `stablevid diagnose`).

    python examples/paper/breed_instability.py --data CLIPS --run RUN
        [--architecture vresnet_frame --rate 2e-3 --steps 8000 --motion 0 --seed 0]
"""

import argparse

import keras

from stablevid_tf import data, diagnostics, models
from stablevid_tf.losses import Charbonnier
from stablevid_tf.metrics import PSNR
from stablevid_tf.training import Resume

EPOCH, BATCH, SIGMA = 100, 8, 30

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", required=True, help="folder of video clips")
parser.add_argument("--run", required=True, help="folder for state, log and weights")
parser.add_argument("--cache", help="folder for decoded frames, kept between runs")
parser.add_argument("--architecture", default="vresnet_frame")
parser.add_argument("--features", type=int, default=24)
parser.add_argument("--rate", type=float, default=2e-3)
parser.add_argument("--steps", type=int, default=8000)
parser.add_argument("--motion", type=float, default=0.0, help="pixels a frame")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

keras.utils.set_random_seed(args.seed)
model = models.build(args.architecture, features=args.features, dtype="mixed_bfloat16")
clips = data.ClipDataset(
    args.data,
    frames=7,
    size=32,
    batch_size=BATCH,
    steps=EPOCH,
    sigma=SIGMA,
    motion=args.motion,
    seed=args.seed,
    cache=args.cache,
)
rate = keras.optimizers.schedules.CosineDecay(
    initial_learning_rate=0.0,
    warmup_target=args.rate,
    warmup_steps=100,
    decay_steps=args.steps - 100,
    alpha=0.01,
)
model.compile(
    optimizer=keras.optimizers.Adam(rate, global_clipnorm=1.0),
    loss=Charbonnier(),
    metrics=[PSNR(frames="last")],
)
model.fit(
    clips,
    epochs=args.steps // EPOCH,
    callbacks=[
        Resume(args.run, clips),
        keras.callbacks.CSVLogger(f"{args.run}/log.csv", append=True),
        keras.callbacks.TerminateOnNaN(),
    ],
    verbose=2,
)
model.save(f"{args.run}/model.keras")

plain = keras.saving.load_model(f"{args.run}/model.keras")
found = diagnostics.diagnose(plain, length=1000, size=48, iterations=100, sigma=SIGMA)
print(found.summary())
found.save(f"{args.run}/report")
