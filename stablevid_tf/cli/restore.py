"""`stablevid restore`: a video file in, a restored one out."""

import warnings

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

# Guard events that are printed one by one.
_SHOWN = 5
# The default model if --sigma gives the noise level.
_NOISE_MAP_MODEL = "vresnet_feat_srnc_map"
# The zoo's names of what --task takes.
TASKS = {
    "denoise": "denoising",
    "upscale": "super-resolution",
    "deblur": "deblurring",
}

USAGE = """\
stablevid restore IN OUT [--task TASK | --model NAME] [--strength S]

IN   a video file, a folder of images, or a quoted pattern such as 'shot/*.png'
OUT  a video (.mp4 .m4v .mov .mkv .webm), or a name without suffix: a folder of PNG
     files

Try a few seconds first: --start 60 --seconds 5.
"""


def options():
    """The command's flags, in a set of their own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_enum(
        "task",
        None,
        list(TASKS),
        "The task whose default model is used. Default: denoise. There is no default "
        "model for deblur yet: give --model.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "model",
        None,
        "A zoo entry, a folder with one, hf://user/repository@revision, a .keras file "
        "or package.module:name. Default: the default entry of --task.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "strength",
        None,
        "How much is removed, 0 (nothing: the frames come out as they are) to 2. "
        "Default: 1. Up to 1 the result is blended with the input, above 1 with a "
        "second pass, which doubles the time. For a model with a noise map: multiplier "
        "on the noise level. Only for models that keep the frame size.",
        lower_bound=0.0,
        upper_bound=2.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "sigma",
        None,
        "Standard deviation of the noise in units of 255, for a model with a noise "
        "map; without --model such a model is used. Default: measured on the first "
        "frames.",
        lower_bound=0.0,
        upper_bound=255.0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "precision",
        "auto",
        ["auto", "float32", "bfloat16", "float16"],
        "Precision of the convolutions. auto: bfloat16 on a CPU with matrix units for "
        "it (amx_bf16) and on a GPU that is fast at it, else float32. bfloat16 changes "
        "PSNR by less than 0.05 dB. float16 is slow on a CPU.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "threads",
        None,
        "Largest number of CPU threads of the model, of the decoder and of the encoder "
        "(each). Default: all cores.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "start",
        0.0,
        "Start of the part to restore, in seconds. Earlier frames are decoded and "
        "dropped.",
        lower_bound=0.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "seconds",
        None,
        "Length of the part to restore, in seconds. Default: to the end. A part is "
        "written without sound.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "crf",
        None,
        "Constant rate factor, 0 (best) to 51. Default: 18 (24 for WebM).",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "lossless",
        False,
        "Store every pixel exactly: FFV1 in .mkv, lossless H.264 in .mp4 and .mov.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite", False, "Replace OUT if it already exists.", flag_values=values
    )
    flags.DEFINE_string(
        "rate",
        None,
        "Frames per second of images, such as 25 or 30000/1001. Default: 24.",
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
        "How to run a model that may fail on long videos. guard: watch the state and "
        "reset it if it fails; burst: reset it every 10 frames; overlap: two copies "
        "that are reset in turn; dampen: weaken the recurrence. Default: none of them.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "dampening",
        None,
        "Factor on the state with --strategy dampen, 0 to 1. Default: 0.55.",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "look-ahead",
        None,
        "Number of frames before and after the restored ones that a bidirectional "
        "model sees. Default: 8. More frames give better results and need more memory.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "tile",
        None,
        "Side of a tile in pixels, such as 512, for frames that do not fit in memory. "
        "Default: frames are not tiled.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "overlap",
        None,
        "Overlap of neighbouring tiles in pixels, per side. Default: 16. The result "
        "equals the untiled one if the overlap covers the model's receptive field.",
        lower_bound=0,
        flag_values=values,
    )
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        OSError, ValueError: a wrong call, or bad input; the message says which.
    """
    _check_call(words, values)
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

    name = model_name(values.model, values.task, values.sigma)
    model = _model(name, source, values)
    from stablevid_tf.cli.noise import takes_level
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
        look_ahead=values["look-ahead"].value,
        tile=values.tile,
        overlap=values.overlap,
        # Set already: it is not measured again.
        sigma=model.network.sigma if takes_level(model) else None,
        threads=values.threads,
        start=values.start,
        seconds=values.seconds,
    )
    print(f"{target}: {count} frames")
    if values.strategy == "guard":
        print(f"guard: {_told(strategy.events)}")


def model_name(model, task, sigma=None):
    """The model to load: `model`, or the zoo's default for a task.

    Args:
        model: as typed; None: not given.
        task: one of `TASKS`; None: not given.
        sigma: the noise level; None: not given.

    Raises:
        ValueError: the task has no default model; `model` is an entry for another
            task.
    """
    from stablevid_tf import zoo
    from stablevid_tf.zoo import entries

    if model is not None:
        if task is not None:
            _check_task(model, task, entries)
        return model
    wanted = TASKS[task or "denoise"]
    if sigma is not None and wanted == "denoising":
        print(f"model: {_NOISE_MAP_MODEL}, the default if --sigma is given")
        return _NOISE_MAP_MODEL
    try:
        name = zoo.default(wanted)
    except ValueError as error:
        found = ", ".join(zoo.names(task=wanted)) or "'stablevid zoo list' shows them"
        raise ValueError(
            f"There is no default model for --task {task}. Choose one of the zoo's "
            f"models with --model: {found}"
        ) from error
    print(f"model: {name}, the default for {wanted} ('stablevid zoo list' shows all)")
    return name


def _check_call(words, values):
    """Raise where flags and names do not go together."""
    if len(words) != 3:
        raise flags.Error(
            f"restore takes IN and OUT, received {len(words) - 1} names"
            + ("; quote a pattern of files" if len(words) > 3 else "")
        )
    if values.model == "":
        raise flags.Error("--model needs a name; 'stablevid zoo list' has them")
    if values.dampening is not None and values.strategy != "dampen":
        raise flags.Error("--dampening goes with --strategy dampen")
    if values.overlap is not None and values.tile is None:
        raise flags.Error("--overlap goes with --tile")
    if values.seconds is not None and not values.seconds > 0:
        raise flags.Error(
            f"--seconds must be above 0. Received: --seconds {values.seconds:g}"
        )


def _check_task(model, task, entries):
    """Raise if a model is an entry for another task."""
    if ".keras" in model:
        return
    try:
        _, entry = entries.find(model)
    except ValueError:
        return  # Not an entry, or an unknown one: loading it tells.
    found = entry.get("task", TASKS[task])
    if found != TASKS[task]:
        raise flags.Error(
            f"--task {task} and --model {model} are in conflict: this model is for "
            f"{found}. Leave one of the two out"
        )


def _model(name, source, values):
    """The model in its precision, set to the video's noise, at its strength."""
    with no_chatter():
        from stablevid_tf import backend
        from stablevid_tf.cli.load_model import load_model, noise_of
        from stablevid_tf.cli.noise import at_noise, measured_noise, takes_level
        from stablevid_tf.streaming.at_precision import at_precision
        from stablevid_tf.streaming.few_cores import few_cores

    # Before the first operation, which starts TensorFlow's threads.
    if values.threads is not None:
        backend.limit_threads(values.threads)
    model = at_precision(load_model(name), values.precision)
    policy = getattr(model, "dtype_policy", None)
    if values.precision == "auto" and policy is not None and policy.name != "float32":
        print(f"precision: {policy.compute_dtype} (--precision float32 is slower)")
    trained_for, measured = noise_of(name), None
    if values.sigma is None and (trained_for or takes_level(model)):
        with few_cores(values.threads):
            measured = measured_noise(source, values.rate, values.damaged, values.start)
    return at_noise(model, trained_for, measured, values.sigma, values.strength)


def _told(events):
    """A run's events in one line, such as 2 (frame 40: scene cut; ...)."""
    if not events:
        return "nothing happened"
    shown = [f"frame {frame}: {reason}" for frame, reason in events[:_SHOWN]]
    if len(events) > _SHOWN:
        shown.append("...")
    return f"the state began anew {len(events)} times ({'; '.join(shown)})"
