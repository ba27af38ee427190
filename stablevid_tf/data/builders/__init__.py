"""Datasets for tensorflow_datasets, one folder each, from what was downloaded by hand.

from stablevid_tf.data import builders
builders.build("reds/blur", "downloads/reds", data_dir="datasets")
builders.builder("reds/blur", data_dir="datasets").as_dataset("reds4")
"""

from pathlib import Path
from typing import TYPE_CHECKING

__all__ = ["build", "builder", "names"]


def names() -> dict[str, str]:
    """The datasets and what each is, in a line.

    Example:
        >>> from stablevid_tf.data import builders
        >>> sorted(builders.names())[:3]
        ['gopro', 'quasi_static', 'reds']
    """
    found = sorted(Path(__file__).parent.glob("*/*_dataset_builder.py"))
    return {
        path.parent.name: path.with_name("README.md").read_text().partition("\n")[0]
        for path in found
    }


if TYPE_CHECKING:
    from stablevid_tf.data.builders.making import build, builder
else:  # Not for type checkers: with it they accept any name of this module.

    def __getattr__(name):
        # tensorflow_datasets is an extra, and takes its time.
        if name in ("build", "builder"):
            from stablevid_tf.data.builders import making

            return getattr(making, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
