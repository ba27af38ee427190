"""Restores a video file with a model of the zoo.

    python examples/restore_video.py noisy.mp4 restored.mp4

The same as `stablevid restore noisy.mp4 restored.mp4 --model vresnet_feat_srnc`, from
Python. IN may be a folder of images too, and OUT a name without suffix, which makes
one. Any length, in memory that does not grow.
"""

import argparse

from stablevid_tf import streaming, zoo


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="IN", help="a video, or a folder of images")
    parser.add_argument("target", metavar="OUT", help="a video, or a folder to make")
    parser.add_argument("--model", default="vresnet_feat_srnc", choices=zoo.names())
    args = parser.parse_args(argv)

    model = zoo.load(args.model)
    count = streaming.restore_file(model, args.source, args.target)
    print(f"{args.target}: {count} frames")

    # For frames of your own: an iterator in, an iterator out.
    #     for restored in streaming.restore(model, frames): ...
    # or one at a time, the state in your hands:
    #     state = model.initial_state(frame)
    #     restored, state = model.step(frame, state)


if __name__ == "__main__":
    main()
