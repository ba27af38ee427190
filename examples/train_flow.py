"""Train the small flow network that aligns the memories of `memory_unet`.

It learns on noisy clips to move each clean frame onto the next one; no true flow is
needed. The recipes of the zoo that use it take its weights with --flow.

    python examples/train_flow.py --data CLIPS --photos PHOTOS --run runs/flow
"""

from stablevid_tf.cells import LightFlow
from stablevid_tf.data.degradations import GaussianNoise
from stablevid_tf.training import FlowModel, Recipe, WarpError


def main(arguments=None):
    recipe = Recipe(
        __doc__,
        steps=2000,
        rate=1e-3,
        shares={"bbb_": 6, "asl_": 2},
        mix=(0.75, 0.22, 0.03),
        arguments=arguments,
    )
    model = FlowModel(LightFlow(24, dtype="mixed_bfloat16"))
    model.build((None, None, None, None, 3))
    clips = recipe.clips(frames=4, size=192, degrade=GaussianNoise(sigma=(0, 50)))
    recipe.fit(model, clips, loss=WarpError(), metrics=[])


if __name__ == "__main__":
    main()
