"""`stablevid COMMAND ...`: picks the command, and says errors in one line."""

import os
import signal
import sys
import warnings

from absl import flags

from stablevid_tf.cli import data, diagnose, evaluate, restore, train, zoo

_COMMANDS = {
    "restore": restore,
    "diagnose": diagnose,
    "evaluate": evaluate,
    "train": train,
    "zoo": zoo,
    "data": data,
}
_USAGE = """\
Restores videos with recurrent models that stay stable at any length.

  stablevid restore IN OUT [--task TASK | --model NAME]
      a video file, a folder of images or a quoted pattern, into a video or a folder
  stablevid diagnose MODEL
      whether a model may run for hours: every test, and one report
  stablevid evaluate MODEL DATA --protocol NAME
      PSNR and the like, measured as a paper does
  stablevid train RECIPE
      a model of the zoo again, on videos of yours; or a script
  stablevid zoo list | card NAME | pull NAME | publish FOLDER USER/REPOSITORY
      the models there are, and those on the Hugging Face Hub
  stablevid data list | build NAME --manual-dir DIR
      datasets to train and test on, from what was downloaded by hand

'stablevid COMMAND --help' tells a command's options."""


def main(argv=None):
    """Runs the command line.

    Args:
        argv: the words after the program's name; those of the process if None.

    Returns:
        int, the exit status: 0, 1 for an error, 2 for a wrong call, 130 where the
        user interrupted.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_USAGE)
        return 0 if words else 2
    command = _COMMANDS.get(words[0])
    if command is None:
        allowed = ", ".join(_COMMANDS)
        return _fail(f"no command {words[0]!r}; there are {allowed}", 2)
    options = command.options()
    # A command that runs another program leaves that its own options.
    passes_on = getattr(command, "PASSES_ON", False)
    own = words[1:2] if passes_on else words[1:]
    if {"-h", "--help"} & set(own):
        print(command.USAGE, options.module_help(command.__name__), sep="\n")
        return 0
    _quieten()
    try:
        command.run(options(words if passes_on else _spelled(words, options)), options)
    except flags.Error as error:
        return _fail(f"{error}; see stablevid {words[0]} --help", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", 130)
    except (
        ArithmeticError,
        ImportError,
        LookupError,
        MemoryError,
        OSError,
        ValueError,
    ) as error:
        # A KeyError shows its message quoted.
        text = error.args[0] if isinstance(error, KeyError) else error
        return _fail(str(text) or type(error).__name__, 1)
    return 0


def _fail(message, status):
    print(f"stablevid: {' '.join(str(message).split())}", file=sys.stderr)
    return status


def _spelled(words, options):
    """The words, each flag as it is defined: `--look_ahead` is `--look-ahead`."""
    end = words.index("--") if "--" in words else len(words)
    return [_flag(word, options) for word in words[:end]] + words[end:]


def _flag(word, options):
    """A word; if it is a flag in another spelling, the flag as it is defined."""
    name, *value = word.split("=", 1)
    bare = name.removeprefix("--")
    if bare == name or bare in options:
        return word
    for no in ("", "no-", "no"):
        if not bare.startswith(no):
            continue
        for other in (bare.removeprefix(no), bare.removeprefix(no).replace("_", "-"),
                      bare.removeprefix(no).replace("-", "_")):  # fmt: skip
            if other in options and (not no or options[other].boolean):
                return "=".join([f"--{no[:2]}{other}", *value])
    return word


def _quieten():
    """One line per warning, no start-up chatter, and an end that cleans up."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The shell's `kill` should remove half-written files as Ctrl-C does.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def show(message, category, *_, **__):
        from tqdm import tqdm

        if issubclass(category, UserWarning):
            tqdm.write(f"stablevid: note: {message}", file=sys.stderr)

    warnings.showwarning = show
