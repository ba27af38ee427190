"""`stablevid zoo`: which models there are, and to and from the Hub."""

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

USAGE = """\
stablevid zoo list
    the names of the models
stablevid zoo card NAME
    what a model does, how it was trained and what it reached
stablevid zoo pull NAME [FOLDER]
    fetches a model from the Hub, to be used without a network from then on; with
    FOLDER into a folder of your own
stablevid zoo publish FOLDER USER/REPOSITORY
    checks a folder with a model and uploads it to the Hub; prints the commit to pin

NAME is one of the list, a folder, or hf://user/repository@revision (a commit or a
tag)."""

# Words that may follow each word, at least and at most.
_WORDS = {"list": (0, 0), "card": (1, 1), "pull": (1, 2), "publish": (2, 2)}


def options():
    """The command's flags: none of its own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        ImportError, LookupError, OSError, ValueError: an unknown entry, or as
            `zoo.pull` and `zoo.publish`.
    """
    what, *rest = words[1:] or [""]
    fewest, most = _WORDS.get(what, (1, 0))
    if not fewest <= len(rest) <= most:
        raise flags.Error(
            "zoo takes 'list', 'card NAME', 'pull NAME [FOLDER]' or 'publish FOLDER "
            "USER/REPOSITORY'"
        )
    with no_chatter():
        from stablevid_tf import zoo

    if what == "list":
        print(*zoo.names(), sep="\n")
    elif what == "card":
        print(zoo.card(*rest))
    elif what == "pull":
        print(zoo.pull(*rest))
    else:
        commit = zoo.publish(*rest)
        print(f"hf://{rest[1]}@{commit}")
