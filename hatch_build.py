"""Which files of `zoo/` a wheel holds.

Every entry is described in the wheel; the weights of most are left out, and
`zoo.load` fetches them from the Hub. In the wheel are the weights of entries whose
`model.toml` has `default_for`, and of those that `weights-of` lists in pyproject.toml.
"""

import tomllib
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ZooHook(BuildHookInterface):
    """Adds the entries to the wheel, at `stablevid_tf/zoo/entries`."""

    def initialize(self, version, build_data):
        # An editable installation finds the entries in the checkout.
        if version == "editable":
            return
        also = self.config["weights-of"]
        zoo = Path(self.root) / "zoo"
        if missing := [name for name in also if not (zoo / name).is_dir()]:
            raise ValueError(
                f"weights-of in pyproject.toml must list entries of zoo/. Received: "
                f"{missing}"
            )
        for toml in sorted(zoo.glob("*/model.toml")):
            folder = toml.parent
            entry = tomllib.loads(toml.read_text(encoding="utf-8"))
            weights = folder / entry["weights"]["file"]
            inside = "default_for" in entry or folder.name in also
            if inside and not weights.is_file():
                raise ValueError(
                    f"The wheel needs the weights {weights}, which are missing. Pack "
                    "them with zoo.pack()."
                )
            for file in sorted(folder.iterdir()):
                if file.name.startswith(".") or not file.is_file():
                    continue
                if file == weights and not inside:
                    continue
                target = f"stablevid_tf/zoo/entries/{folder.name}/{file.name}"
                build_data["force_include"][str(file)] = target
