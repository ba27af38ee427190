"""ifi_rnn_rirn_hard: IFI-RNN with IRM and ATB, constrained, for deblurring.

Reproduces: the recurrence-in-recurrence network of Park et al., "Recurrence-in-
    Recurrence Networks for Video Deblurring", table S5, at a budget a CPU can pay.
    The blur is that of pictures which drift by up to a pixel a frame, seven frames
    averaged: frames of ordinary video (in place of GoPro's, of 240 a second) lie too
    far apart to give a smooth one. The paper's network writes the whole picture; in
    this budget that stays below the blurred input, so this one is added to the frame
    (`skip`).
    It differs from `ifi_rnn_rirn`, which drifts, in the constraint alone: the hard one
    of Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
    Processing", on every convolution but the first and the last. The last begins near
    zero, which a norm of 1 would undo.
Data: a folder of video clips (--data); README.md says what the shipped weights saw.
"""

import argparse

import keras

from stablevid_tf import data, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.data.degradations import MotionBlur
from stablevid_tf.losses import Charbonnier
from stablevid_tf.metrics import PSNR
from stablevid_tf.training import RunFolder

STEPS, EPOCH, BATCH, RATE = 3000, 50, 4, 1e-3

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", required=True, help="folder of video clips")
parser.add_argument("--run", required=True, help="folder for state, log and weights")
parser.add_argument("--cache", help="folder for decoded frames, kept between runs")
parser.add_argument("--steps", type=int, default=STEPS)
args = parser.parse_args()
if args.steps < 200 or args.steps % EPOCH:
    parser.error(f"--steps: a multiple of {EPOCH} from 200 on, not {args.steps}")
run = RunFolder(args.run, args, seed=0)

keras.utils.set_random_seed(0)

model = models.build(
    "ifi_rnn_rirn",
    skip=True,
    constraint=SRNC(alpha=1.0, beta=1.0, where="body"),
    dtype="mixed_bfloat16",
)
clips = data.ClipDataset(
    args.data,
    frames=7,
    size=64,
    batch_size=BATCH,
    steps=EPOCH,
    motion=1.0,
    degrade=MotionBlur(window=7),
    seed=0,
    cache=args.cache,
)
rate = keras.optimizers.schedules.CosineDecay(
    initial_learning_rate=0.0,
    warmup_target=RATE,
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
    callbacks=run.callbacks(clips),
    verbose=2,
)
model.fold().save_weights(f"{args.run}/model.weights.h5")
