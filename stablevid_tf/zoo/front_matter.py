"""The YAML at the head of a model card, which the Hub reads."""

import json
import re

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*")
# What YAML reads as something else than a string.
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_METRICS = ("psnr", "ssim", "lpips")


def front_matter(entry):
    """The metadata of an entry that the Hub reads, a dict.

    Args:
        entry: the contents of its `model.toml`. Used are `license`, `task`,
            `architecture`, `constraint`, `results` and `datasets` (a list of data sets
            on the Hub with which the weights were trained).
    """
    tags = ["video-restoration"]
    if "task" in entry:
        tags.append(f"video-{entry['task']}")
    tags.append(entry["architecture"])
    if "constraint" in entry:
        tags.append("stable-rank-normalisation")
    tags.append("stablevid-tf")
    told = {
        "license": str(entry.get("license", "unknown")).lower(),
        "library_name": "keras",
        "pipeline_tag": "video-to-video",
        "tags": tags,
    }
    if entry.get("datasets"):
        told["datasets"] = list(entry["datasets"])
    of = {str(key).split("_")[0] for key in entry.get("results", {})}
    if metrics := [name for name in _METRICS if name in of]:
        told["metrics"] = metrics
    return told


def body_of(text):
    """A card without its front matter."""
    match = re.match(r"---\r?\n.*?\r?\n---\r?\n+", text, flags=re.S)
    return text[match.end() :] if match else text


def with_front_matter(text, entry):
    """A card with the front matter of `entry` in place of its own."""
    lines = ["---"]
    for key, value in front_matter(entry).items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"- {_scalar(item)}" for item in value)]
        else:
            lines.append(f"{key}: {_scalar(value)}")
    return "\n".join([*lines, "---", "", body_of(text)])


def _scalar(value):
    """A string in YAML; every JSON string is one."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if plain else json.dumps(value)
