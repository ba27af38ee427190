"""`stablevid restore`: a video file in, a restored one out."""

import warnings

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

USAGE = """\
stablevid restore IN OUT --model NAME

IN   a video file, a folder of images, or a quoted pattern such as 'shot/*.png'
OUT  a video (.mp4 .m4v .mov .mkv .webm), or a name without suffix: a folder
"""


def options():
    """The command's flags, in a set of their own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_string(
        "model",
        None,
        "An entry of the zoo, a folder with one, or a .keras file.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "crf",
        None,
        "Quality of the video, 0 (best) to 51; 18 unless said, in WebM 24.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "lossless",
        False,
        "Store every pixel exactly: FFV1 in .mkv, lossless H.264 in .mp4, .mov.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite", False, "Replace what stands at OUT.", flag_values=values
    )
    flags.DEFINE_string(
        "rate",
        None,
        "Frames per second of images, such as 25 or 30000/1001; 24 unless said.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "damaged",
        False,
        "Restore what can be decoded of a truncated or damaged file.",
        flag_values=values,
    )
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        OSError, ValueError: a wrong call, or bad input; the message says which.
    """
    if len(words) != 3:
        raise flags.Error(
            f"restore takes IN and OUT, received {len(words) - 1} names"
            + ("; quote a pattern of files" if len(words) > 3 else "")
        )
    if not values.model:
        raise flags.Error("restore needs --model; 'stablevid zoo list' names them")
    _, source, target = words
    with no_chatter():
        from stablevid_tf.data.video import create_video, open_video
        from stablevid_tf.data.video_target import check_target, refuse_same

    refuse_same(source, target)
    # What can be refused is refused before a model is loaded; what is lost on the
    # way is said when it happens.
    with (
        warnings.catch_warnings(action="ignore"),
        open_video(source, values.rate, values.damaged) as video,
    ):
        create_video(target, video.info, values.crf, values.lossless)
    check_target(target, values.overwrite)

    from stablevid_tf.cli.load_model import load_model

    model = load_model(values.model)
    from stablevid_tf.streaming import restore_file

    count = restore_file(
        model,
        source,
        target,
        crf=values.crf,
        lossless=values.lossless,
        overwrite=values.overwrite,
        rate=values.rate,
        allow_damaged=values.damaged,
    )
    print(f"{target}: {count} frames")
