"""`stablevid diagnose`: may this model run for hours?"""

from absl import flags

USAGE = """\
stablevid diagnose MODEL [--video FILE] [--out FOLDER]

MODEL  an entry of the zoo, a folder with one, a .keras file, or a Python import path
       such as my_package.my_module:MyCell (a cell or model, or what makes one)
"""


def options():
    """The command's flags, in a set of their own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_string(
        "video",
        None,
        "A video or a folder of images to run on (default: synthetic pictures).",
        flag_values=values,
    )
    flags.DEFINE_string(
        "out",
        None,
        "Folder for the report and its pictures (default: diagnosis_MODEL).",
        flag_values=values,
    )
    flags.DEFINE_float(
        "sigma",
        None,
        "Noise to add, in units of 255 (default: what the model was trained for).",
        lower_bound=0,
        upper_bound=255,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "frames", 2000, "Frames of the long run.", lower_bound=50, flag_values=values
    )
    flags.DEFINE_integer(
        "tau",
        40,
        "Frames before and after the centre of the receptive field.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "size", 64, "Side of the frames in pixels.", lower_bound=16, flag_values=values
    )
    flags.DEFINE_integer(
        "iterations",
        500,
        "Most steps of the search for the receptive field.",
        lower_bound=1,
        flag_values=values,
    )
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        OSError, ValueError: a wrong call, or bad input; the message says which.
    """
    if len(words) != 2:
        raise flags.Error(f"diagnose takes MODEL, received {len(words) - 1} names")
    from stablevid_tf.cli.load_model import load_model, noise_of

    name = words[1]
    model = load_model(name)
    from stablevid_tf import diagnostics

    found = diagnostics.diagnose(
        model,
        frames=values.video,
        sigma=noise_of(name) if values.sigma is None else values.sigma,
        length=values.frames,
        tau=values.tau,
        size=values.size,
        iterations=values.iterations,
        progress=True,
    )
    print(found.summary())
    print(found.save(values.out or f"diagnosis_{found.name}"))
