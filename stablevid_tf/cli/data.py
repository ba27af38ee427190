"""`stablevid data`: builds datasets to train and test on."""

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

USAGE = """\
stablevid data list
    the datasets there are
stablevid data build NAME --manual-dir DIR [--data-dir DIR] [--partial]
    builds one from what was downloaded by hand; NAME may name a config, as reds/blur
"""


def options():
    """The command's flags, in a set of their own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_string(
        "manual-dir",
        None,
        "Folder of what was downloaded, unpacked or not; it is only read.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "data-dir",
        None,
        "Folder of built datasets (default: ~/tensorflow_datasets).",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "partial",
        False,
        "Build what is there of an incomplete set.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "beam",
        None,
        "Build a large set by Apache Beam, with these pipeline options, such as "
        "runner=DirectRunner,direct_num_workers=4.",
        flag_values=values,
    )
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        LookupError, OSError, ValueError: an unknown dataset, or files that are missing,
            damaged or cannot be written.
    """
    build = words[1:2] == ["build"] and len(words) == 3
    if not build and words[1:] != ["list"]:
        raise flags.Error("data takes 'list' or 'build NAME --manual-dir DIR'")
    from stablevid_tf.data import builders

    if not build:
        for name, what in builders.names().items():
            print(f"{name:20}{what}")
        return
    name, manual_dir = words[2], values["manual-dir"].value
    if manual_dir is None:
        raise flags.Error(f"data build {name} needs --manual-dir DIR")
    try:
        with no_chatter():
            from stablevid_tf.data.builders import making
    except ImportError as error:
        raise OSError(str(error)) from error
    making.quieten()
    made = making.build(
        name,
        manual_dir,
        data_dir=values["data-dir"].value,
        partial=values.partial,
        beam_options=[f"--{option}" for option in values.beam or ()],
    )
    sizes = (f"{n} {i.num_examples}" for n, i in made.info.splits.items())
    print(f"{made.data_path}: {', '.join(sizes)}")
