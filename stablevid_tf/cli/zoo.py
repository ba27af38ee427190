"""`stablevid zoo`: which models there are."""

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

USAGE = """\
stablevid zoo list
    the names of the models
stablevid zoo card NAME
    what a model does, how it was trained and what it reached
"""


def options():
    """The command's flags: none of its own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        LookupError, ValueError: an unknown entry.
    """
    if words[1:] != ["list"] and not (words[1:2] == ["card"] and len(words) == 3):
        raise flags.Error("zoo takes 'list' or 'card NAME'")
    with no_chatter():
        from stablevid_tf import zoo

    if words[1] == "list":
        print(*zoo.names(), sep="\n")
    else:
        print(zoo.card(words[2]))
