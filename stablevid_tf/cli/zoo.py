"""`stablevid zoo`: the models, and their way to and from the Hub."""

import re
import sys

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

USAGE = """\
stablevid zoo list
    a table of the models: task, input, size, certificate, and the defaults
stablevid zoo card NAME
    a model's card: what it is for, how it was trained, what it reached
stablevid zoo pull NAME [FOLDER]
    fetches a model from the Hub for use without a network, or as a copy in FOLDER
stablevid zoo publish FOLDER USER/REPOSITORY
    checks a folder with a model and uploads it to the Hub; prints the commit to pin
stablevid zoo publish --all ORGANISATION
    the same for every model of the list, to ORGANISATION/NAME

NAME is a name from the list, a folder, or hf://user/repository@revision (a commit or
a tag)."""

# Words that may follow each word, at least and at most.
_WORDS = {"list": (0, 0), "card": (1, 1), "pull": (1, 2), "publish": (2, 2)}
# What moves the cursor or recolours a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def options():
    """The command's flags, in a set of their own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_bool(
        "all",
        False,
        "With publish: upload every model of the list to a repository of its own name.",
        flag_values=values,
    )
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        ImportError, LookupError, OSError, ValueError: an unknown entry, or as
            `zoo.pull` and `zoo.publish`.
    """
    what, *rest = words[1:] or [""]
    fewest, most = _WORDS.get(what, (1, 0))
    if values.all:
        fewest, most = (1, 1) if what == "publish" else (1, 0)
    if not fewest <= len(rest) <= most:
        raise flags.Error(
            "zoo takes 'list', 'card NAME', 'pull NAME [FOLDER]', 'publish FOLDER "
            "USER/REPOSITORY' or 'publish --all ORGANISATION'"
        )
    if what == "list":
        from stablevid_tf.zoo.table import table

        print(table())
    elif what == "card":
        from stablevid_tf import zoo

        print(_CONTROL.sub("", zoo.card(*rest)))
    elif what == "pull":
        from stablevid_tf import zoo

        print(zoo.pull(*rest))
    elif values.all:
        _publish_all(*rest)
    else:
        with no_chatter():
            from stablevid_tf.zoo.publishing import publish

        print(f"hf://{rest[1]}@{publish(*rest)}")


def _publish_all(organisation):
    with no_chatter():
        from stablevid_tf.zoo.publishing import publish_all

    failed, count = [], 0
    for name, commit, error in publish_all(organisation):
        count += 1
        if error is None:
            print(f"hf://{organisation}/{name}@{commit}", flush=True)
        else:
            failed.append(name)
            text = " ".join(str(error).split())
            print(f"stablevid: {name}: {text}", file=sys.stderr, flush=True)
    if failed:
        raise ValueError(
            f"{len(failed)} of {count} models were not published: {', '.join(failed)}. "
            "The reasons are above; run the command again when they are fixed"
        )
