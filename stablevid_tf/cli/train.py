"""`stablevid train`: runs a recipe."""

import os
import runpy
import sys
from pathlib import Path

from absl import flags

from stablevid_tf.cli.no_chatter import no_chatter

USAGE = """\
stablevid train RECIPE [the recipe's own options]
    trains a model. RECIPE is an entry of the zoo (stablevid zoo list), a folder with
    one, or a Python script. Everything that comes out lies in the folder --run, by
    default runs/RECIPE: weights, log, curve, and run.json, which tells how to repeat
    it. Killed at any moment, the same command goes on from the last save.

stablevid train RECIPE --help
    the recipe's options; python RECIPE tells where in it an error comes from
"""

# What follows the recipe is the recipe's, not ours.
PASSES_ON = True


def options():
    """The command's flags: none of its own."""
    values = flags.FlagValues()
    # Words are ours up to the recipe's name.
    values.set_gnu_getopt(False)
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        FileNotFoundError, ValueError: there is no such recipe.
    """
    if len(words) < 2 or words[1].startswith("-"):
        raise flags.Error("train takes a RECIPE, then the recipe's options")
    recipe, given = recipe_of(words[1]), list(words[2:])
    if not {"-h", "--help"} & set(given):
        folder = _run_folder(recipe, given)
        if folder is not None:
            print(
                f"stablevid: run folder {folder}; killed or interrupted, the same "
                "command goes on from the last save in it",
                file=sys.stderr,
                flush=True,
            )
    before, sys.argv = sys.argv, [str(recipe), *given]
    try:
        runpy.run_path(str(recipe), run_name="__main__")
    except KeyboardInterrupt:
        print("stablevid: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)
    finally:
        sys.argv = before


def recipe_of(name):
    """The script that a word names.

    Args:
        name: a Python file, a folder with a `train.py`, or an entry of the zoo.

    Raises:
        FileNotFoundError: there is no such file, or no recipe in the folder.
        ValueError: it is no Python file, or no entry has that name.
    """
    path = Path(name)
    if path.suffix == ".py" and not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{name}: no such recipe")
        return path
    if path.is_file():
        raise ValueError(f"{name} is no recipe: a recipe is a Python script, .py")
    if not path.is_dir():
        with no_chatter():
            from stablevid_tf.zoo import entries

        path = entries.folder_of(name)
    if not (path / "train.py").is_file():
        raise FileNotFoundError(f"{path}: there is no train.py in it, and so no recipe")
    return path / "train.py"


def _run_folder(recipe, given):
    """Where a recipe with a `--run` writes; added to `given` where it is not there."""
    for i, word in enumerate(given):
        if word == "--run" and i + 1 < len(given):
            return given[i + 1]
        if word.startswith("--run="):
            return word.removeprefix("--run=")
    if '"--run"' not in recipe.read_text(encoding="utf-8"):
        return None
    whole = recipe.resolve()
    name = whole.parent.name if whole.name == "train.py" else whole.stem
    folder = os.path.join("runs", name)
    given += ["--run", folder]
    return folder
