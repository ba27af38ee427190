"""What an entry's `model.toml` must hold, and what it may not ask for.

An entry may come from a stranger: it names plain data alone, and a network of a size
that an ordinary computer holds. All is checked before anything is built.
"""

import math

from stablevid_tf import hub

_PINNED = ("repository", "revision")
_SUFFIX = ".weights.h5"

# Of any number.
_LARGEST = 10_000
# Channels inside a network, and the most of each.
_WIDTHS = {
    "features": 256,
    "memory_features": 256,
    "gate_features": 256,
    "flow_features": 256,
    "frame_features": 256,
    "activations": 256,
}
# Whatever counts something, and the most of each.
_COUNTS = _WIDTHS | {
    "blocks": 64,
    "depth": 64,
    "levels": 8,
    "groups": 256,
    "channels": 4,
    "scale": 8,
    "window": 31,
    "clip_length": 1000,
    "temporal_padding": 64,
    "frame_number": _LARGEST,
    "frame_size": 256,
    "power_iterations": 100,
}
# 0 leaves these parts out.
_OPTIONAL = ("frame_number", "temporal_padding")
# Architectures whose features and blocks are lists, a number for each resolution.
_OF_LISTS = ("memory_unet",)
_LISTS = ("features", "blocks")
_LONGEST = 8
# Weights grow with features^2 * blocks: at most some 200 million numbers, reached by
# the deblurring networks. basicvsr, the largest published one, has 64^2 * 30 = 122,880.
_MOST_WEIGHTS = 400_000
# The vectors of the power iteration grow with frame_size^2 * features * blocks: at most
# some 500 MB.
_MOST_VECTORS = 32_000_000
# For arguments that are not given: no published architecture has more.
_FEATURES, _BLOCKS, _FRAME_SIZE = 128, 16, 64


def check_description(entry, path):
    """Raise unless the contents of a `model.toml` describe an entry.

    Args:
        entry: the contents, a dict.
        path: of the file, for the message.

    Raises:
        ValueError: a missing key, a wrong type, a number outside its range, or a
            network that is too large.
    """
    for key in ("architecture", "weights"):
        if key not in entry:
            raise ValueError(
                f"{path} lacks {key!r}, which every entry needs. Received: "
                f"{sorted(entry)}"
            )
    for table, keys in (("weights", ("file", "sha256")), ("hub", _PINNED)):
        if table not in entry and table != "weights":
            continue
        found = entry[table]
        if not isinstance(found, dict) or any(
            not isinstance(found.get(key), str) for key in keys
        ):
            raise ValueError(
                f"[{table}] in {path} needs {' and '.join(keys)}, strings. "
                f"Received: {found!r}"
            )
    for key in ("task", "group", "default_for"):
        if not isinstance(entry.get(key, ""), str):
            raise ValueError(
                f"{key} in {path} must be a string. Received: {entry[key]!r}"
            )
    file = entry["weights"]["file"]
    hub.check_file_name(file)
    if not file.endswith(_SUFFIX):
        raise ValueError(
            f"The weights that {path} names must be a {_SUFFIX} file, as "
            f"model.save_weights writes it. Received: {file!r}"
        )
    arguments = entry.get("arguments", {})
    lists = _LISTS if entry["architecture"] in _OF_LISTS else ()
    _check_plain(arguments, f"[arguments] in {path}", lists)
    _check_plain(entry.get("constraint", {}), f"[constraint] in {path}")
    for table in ("input", "results"):
        _check_table(entry.get(table, {}), f"[{table}] in {path}")
    _check_size(arguments, entry.get("constraint"), path)
    sigma = entry.get("input", {}).get("sigma")
    if sigma is None and not arguments.get("noise_map"):
        return
    if not _number(sigma) or not 0 <= sigma <= 255:
        raise ValueError(
            f"sigma of [input] in {path} must be a number from 0 to 255"
            f"{', which the noise map needs' if sigma is None else ''}. Received: "
            f"{sigma!r}"
        )


def _check_table(table, where):
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table. Received: {table!r}")


def _check_plain(table, where, lists=()):
    """Raise unless a table holds numbers, strings and booleans in range.

    Those named by `lists` may also be short lists of numbers.
    """
    _check_table(table, where)
    for name, value in table.items():
        if name in lists and isinstance(value, list) and 0 < len(value) <= _LONGEST:
            for each in value:
                _check_value(name, each, where)
        else:
            _check_value(name, value, where)


def _check_value(name, value, where):
    if not isinstance(value, bool | int | float | str):
        raise ValueError(
            f"{where} takes numbers, strings and booleans alone. "
            f"Received: {name}={value!r}"
        )
    if _number(value) and not (math.isfinite(value) and abs(value) <= _LARGEST):
        raise ValueError(
            f"{name} of {where} must be finite and at most {_LARGEST}. "
            f"Received: {value!r}"
        )
    if name in _COUNTS:
        least, most = int(name not in _OPTIONAL), _COUNTS[name]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= most:
            raise ValueError(
                f"{name} of {where} must be a whole number from {least} to {most}. "
                f"Received: {value!r}"
            )


def _check_size(arguments, constraint, path):
    """Raise if a network of these arguments would take too much memory."""
    given = {k: v if isinstance(v, list) else [v] for k, v in arguments.items()}
    features = max((max(given[k]) for k in _WIDTHS if k in given), default=_FEATURES)
    stages = [sum(given[k]) for k in ("blocks", "depth") if k in given]
    blocks = max(sum(stages), _BLOCKS)
    received = f"features={features}, blocks={blocks}"
    if features**2 * blocks > _MOST_WEIGHTS:
        raise ValueError(
            f"{path} asks for a network that is too large: features^2 * blocks may be "
            f"at most {_MOST_WEIGHTS:,}. Received: {received}. Use a smaller entry."
        )
    if constraint is None:
        return
    side = constraint.get("frame_size", _FRAME_SIZE)
    if side**2 * features * blocks > _MOST_VECTORS:
        raise ValueError(
            f"{path} asks for too much memory: frame_size^2 * features * blocks may be "
            f"at most {_MOST_VECTORS:,}. Received: frame_size={side}, {received}. Use "
            "a smaller frame_size."
        )


def _number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)
