"""denoise_realtime: a small blind denoiser for real video, with a convex memory.

Data: folders of video clips (--data) and photographs (--photos), degraded by white
    noise of any level, by a camera and a codec, or by a codec alone; README.md says
    what the shipped weights saw.
Five parts, each from the weights of the one before:
    --part gates    an untrained network, for which the mean of frames is all there is:
                    the gates learn when to trust it
    --part frames   single frames, of which a step sees most: the network learns to
                    denoise
    --part memory   clips, the gates as they are: the network learns to use the memory
                    (with gates that learn too it shuts the memory off for good)
    --part clips    clips, everything
    --part long     the same with clips of 20 frames
"""

from stablevid_tf import models
from stablevid_tf.data.degradations import H264, Camera, GaussianNoise, OneOf
from stablevid_tf.training import Recipe

recipe = Recipe(
    __doc__,
    parts={
        "gates": {"steps": 600, "rate": 1e-3},
        "frames": {"steps": 3600, "rate": 3e-3, "batch": 16},
        "memory": {"steps": 1000, "rate": 2e-3},
        "clips": {"steps": 2300, "rate": 2e-3},
        "long": {"steps": 1700, "rate": 1e-3, "batch": 2},
    },
    shares={"bbb_": 6, "asl_": 2},
)
model = models.build(
    "memory_unet",
    features=(32, 64, 96),
    blocks=(1, 2, 2),
    memory_features=32,
    groups=4,
    gate_features=8,
    align="half",
    dtype="mixed_bfloat16",
)
white, little = GaussianNoise(sigma=(0, 55)), GaussianNoise(sigma=(0, 8))
camera, codec = Camera(), H264(crf=(8, 24))
for layer in (model.cell.look, *model.cell.gate):
    layer.trainable = recipe.part in ("gates", "clips", "long")
if recipe.part == "frames":
    noise = OneOf([white, little, camera], [7, 3, 5])
    clips = recipe.clips(frames=1, size=144, degrade=noise, workers=2)
else:
    noise = OneOf([white, little, camera, codec], [7, 3, 8, 1])
    frames = 20 if recipe.part == "long" else 10
    clips = recipe.clips(frames=frames, size=96, degrade=noise, workers=2)
recipe.fit(model, clips)
