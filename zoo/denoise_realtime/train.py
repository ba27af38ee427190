"""denoise_realtime: a small blind denoiser for real video, with a convex memory.

Data: folders of video clips (--data) and photographs (--photos), degraded by white
    noise of any level, by a camera and a codec, or by a codec alone; README.md says
    what the shipped weights saw.
Before: `python examples/train_flow.py`, whose averaged weights --flow takes.
Two parts: `--part frames` learns to restore single frames, in which a step sees most
    pixels; `--part clips` goes on and learns to use the memory, the flow as it is.
"""

from stablevid_tf import models
from stablevid_tf.data.degradations import H264, Camera, GaussianNoise, OneOf
from stablevid_tf.training import Recipe

recipe = Recipe(
    __doc__,
    parts={
        "frames": {"steps": 3600, "rate": 3e-3, "batch": 16},
        "clips": {"steps": 6000, "rate": 2e-3, "batch": 4},
    },
    shares={"bbb_": 6, "asl_": 2},
    flow=True,
)
model = models.build(
    "memory_unet",
    features=(32, 64, 96),
    blocks=(1, 2, 2),
    refine=0,
    memory_features=32,
    groups=4,
    gate_features=8,
    dtype="mixed_bfloat16",
)
white, camera = GaussianNoise(sigma=(0, 55)), Camera()
if recipe.part == "frames":
    noise = OneOf([white, camera], [2, 1])
    clips = recipe.clips(frames=1, size=144, degrade=noise, workers=2)
else:
    model.cell.flow.trainable = False
    noise = OneOf([white, camera, H264(crf=(8, 24))], [9, 9, 1])
    clips = recipe.clips(frames=10, size=96, degrade=noise, workers=2)
recipe.fit(model, clips)
