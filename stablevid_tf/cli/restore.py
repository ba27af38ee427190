"""`stablevid restore`: a video file in, a restored one out."""

import warnings

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

# Events of the guard that are told one by one.
_SHOWN = 5
# For any noise, which is measured.
ANY_NOISE = "vresnet_feat_srnc_map"

USAGE = """\
stablevid restore IN OUT [--model NAME]

IN   a video file, a folder of images, or a quoted pattern such as 'shot/*.png'
OUT  a video (.mp4 .m4v .mov .mkv .webm), or a name without suffix: a folder
"""


def options():
    """The command's flags, in a set of their own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_string(
        "model",
        ANY_NOISE,
        "An entry of the zoo, a folder with one, or a .keras file. Unless said, a "
        "denoiser that is told how noisy the video is.",
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
    flags.DEFINE_enum(
        "strategy",
        None,
        ["burst", "dampen", "guard", "overlap"],
        "For a model that may fail on long videos. guard: watch its state, replace it "
        "when it goes astray; burst: begin anew every 10 frames; overlap: two copies "
        "that do so in turn; dampen: let the state count less.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "dampening",
        None,
        "How much the state counts, 0 to 1, with --strategy dampen; 0.55 unless said.",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "look_ahead",
        None,
        "Frames after (and before) those being restored that a bidirectional model "
        "sees; 8 unless said. More is better, and costs memory.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "tile",
        None,
        "For frames too large for the device's memory: cut them into squares of this "
        "many pixels, such as 512, restored one after another.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "overlap",
        None,
        "Pixels that a tile sees on each side beyond what is kept of it, with --tile; "
        "16 unless said. The result is that without tiles where it covers what the "
        "model sees of a frame around a pixel.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "sigma",
        None,
        "The noise's standard deviation, of 255, for a model with a noise map; "
        "measured on the first frames unless said.",
        lower_bound=0.0,
        upper_bound=255.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "strength",
        None,
        "Times the noise is what a model with a noise map is told; 1 unless said, more "
        "removes more.",
        lower_bound=0.0,
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
        raise flags.Error("--model needs a name; 'stablevid zoo list' has them")
    if values.dampening is not None and values.strategy != "dampen":
        raise flags.Error("--dampening goes with --strategy dampen")
    if values.overlap is not None and values.tile is None:
        raise flags.Error("--overlap goes with --tile")
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

    from stablevid_tf.cli.load_model import load_model, noise_of
    from stablevid_tf.cli.noise import at_noise, measured_noise, takes_level

    if values["model"].using_default_value:
        print(f"model: {values.model}, a denoiser ('stablevid zoo list' names others)")
    model, trained_for, measured = (
        load_model(values.model),
        noise_of(values.model),
        None,
    )
    if values.sigma is None and (trained_for or takes_level(model)):
        measured = measured_noise(source, values.rate, values.damaged)
    model = at_noise(model, trained_for, measured, values.sigma, values.strength)
    from stablevid_tf.streaming import Dampen, restore_file
    from stablevid_tf.streaming.strategies import strategy_of

    strategy = strategy_of(values.strategy)
    if values.dampening is not None:
        strategy = Dampen(values.dampening)
    count = restore_file(
        model,
        source,
        target,
        crf=values.crf,
        lossless=values.lossless,
        overwrite=values.overwrite,
        rate=values.rate,
        allow_damaged=values.damaged,
        strategy=strategy,
        look_ahead=values.look_ahead,
        tile=values.tile,
        overlap=values.overlap,
    )
    print(f"{target}: {count} frames")
    if values.strategy == "guard":
        print(f"guard: {_told(strategy.events)}")


def _told(events):
    """A run's events in one line, such as 2 (frame 40: scene cut; ...)."""
    if not events:
        return "nothing happened"
    shown = [f"frame {frame}: {reason}" for frame, reason in events[:_SHOWN]]
    if len(events) > _SHOWN:
        shown.append("...")
    return f"the state began anew {len(events)} times ({'; '.join(shown)})"
