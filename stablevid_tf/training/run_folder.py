import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import keras

from stablevid_tf.training.learning_curve import LearningCurve
from stablevid_tf.training.non_finite_guard import NonFiniteGuard
from stablevid_tf.training.replaced import replaced
from stablevid_tf.training.resume import Resume

_PACKAGES = ("stablevid-tf", "keras", "tensorflow", "jax", "numpy", "h5py")


class RunFolder:
    """A folder for one training run, with the record that is needed to repeat it.

    `run.json` has one entry for each start of the run: the command and its arguments,
    the seed, the versions of Python and of the packages, the backend, the number of
    processors, the git commit of the script's checkout and whether files differ from
    it. The script itself is copied into the folder. If a run is started again with
    other arguments, another seed or another script, a warning says that neither
    configuration reproduces it.

    While the run is open, no other run can open the folder; a crash releases it.

    Args:
        folder: created if it does not exist.
        arguments: arguments of the run, a dict or an `argparse.Namespace`.
        seed: the seed that `keras.utils.set_random_seed` got, if any.
        script: file to copy. Default: the running program's.

    Raises:
        ValueError: another run uses the folder, or its `run.json` is damaged.
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from stablevid_tf import training
        >>> folder = tempfile.mkdtemp()
        >>> with training.RunFolder(folder, {"steps": 3000}, seed=0) as run:
        ...     callbacks = run.callbacks()
        >>> [type(c).__name__ for c in callbacks]
        ['NonFiniteGuard', 'CSVLogger', 'LearningCurve', 'Resume']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        arguments: dict[str, Any] | argparse.Namespace | None = None,
        seed: int | None = None,
        script: str | os.PathLike[str] | None = None,
    ) -> None:
        self.path = Path(folder)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path)
        try:
            self._record(arguments, seed, sys.argv[0] if script is None else script)
        except BaseException:
            self.close()
            raise

    def callbacks(
        self, dataset: Any = None, every: int | None = None
    ) -> list[keras.callbacks.Callback]:
        """The callbacks of a run, in the order that they need.

        They are `NonFiniteGuard`, Keras' `CSVLogger` (`log.csv`), `LearningCurve`
        (`log.png`) and `Resume`.

        Args:
            dataset, every: as for `Resume`.
        """
        log = self.path / "log.csv"
        return [
            NonFiniteGuard(),
            keras.callbacks.CSVLogger(str(log), append=True),
            LearningCurve(log),
            Resume(self.path, dataset, every),
        ]

    def close(self) -> None:
        """Release the folder for other runs."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record(self, arguments, seed, script):
        path = self.path / "run.json"
        starts = []
        if path.exists():
            try:
                starts = json.loads(path.read_text(encoding="utf-8"))["starts"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path} is not the record of a run: {error}. Give another folder, "
                    "or remove the file."
                ) from error
        now = _facts(arguments, seed, Path(script))
        for key in ("arguments", "seed", "script_sha256"):
            if starts and starts[0].get(key) != now[key]:
                warnings.warn(
                    f"{self.path} holds a run with another {key}: {starts[0].get(key)}"
                    f". Now: {now[key]}. The run goes on, but neither configuration "
                    "reproduces it.",
                    stacklevel=4,
                )
        with replaced(path) as partial:
            text = json.dumps({"starts": [*starts, now]}, indent=1, default=str)
            partial.write_text(text + "\n", encoding="utf-8")
        if now["script_sha256"]:
            with replaced(self.path / Path(script).name) as partial:
                shutil.copyfile(script, partial)


def _locked(folder):
    """An open file that no other process can lock until this one ends."""
    import fcntl

    file = open(folder / "lock", "a+")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise ValueError(
            f"Another run is writing to {folder} (process {holder}). Wait for it to "
            "end, or give this run another folder."
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _facts(arguments, seed, script):
    whole = script.is_file()
    given = arguments or {}
    if not isinstance(given, dict):
        given = vars(given)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [sys.executable, *sys.argv],
        "folder": os.getcwd(),
        # As JSON has them, so that they compare with what was read.
        "arguments": json.loads(json.dumps(given, default=str)),
        "seed": seed,
        "script": str(script) if whole else None,
        "script_sha256": (
            hashlib.sha256(script.read_bytes()).hexdigest() if whole else None
        ),
        "git": _git(script.resolve().parent) if whole else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "backend": keras.backend.backend(),
        "dtype_policy": keras.config.dtype_policy().name,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(folder):
    """The commit of a checkout and whether files differ from it; None outside one."""

    def said(*words):
        return subprocess.run(
            ["git", "-C", folder, *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        ).stdout.strip()

    try:
        commit = said("rev-parse", "HEAD")
        changed = bool(said("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": changed}
