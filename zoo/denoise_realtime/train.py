"""denoise_realtime: a small blind denoiser for real video, with a convex memory.

Data: folders of video clips (--data) and photographs (--photos), degraded by white
    noise of any level, by a camera and a codec, or by a codec alone; README.md says
    what the shipped weights saw.
Before: `python examples/train_flow.py`, whose averaged weights --flow takes.
"""

from stablevid_tf import models
from stablevid_tf.data.degradations import H264, Camera, GaussianNoise, OneOf
from stablevid_tf.training import Recipe

recipe = Recipe(
    __doc__, steps=2600, rate=1e-3, shares={"bbb_": 6, "asl_": 2}, flow=True
)
noise = OneOf([GaussianNoise(sigma=(0, 55)), Camera(), H264(crf=(8, 24))], [9, 9, 1])
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
recipe.fit(model, recipe.clips(frames=10, size=96, degrade=noise, workers=2))
