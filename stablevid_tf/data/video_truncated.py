"""Whether a container's own bookkeeping says that its end is missing.

Asked before the first frame is restored: a decoder notices hours later, or not
at all.
"""

import struct


def missing_bytes(path, container):
    """How many bytes at least are missing at the end of `path`; 0 if none.

    Knows MP4 and MOV (the sample table), Matroska and WebM (the segment's size)
    and AVI (the RIFF size). Other containers do not say.

    Args:
        path: Path of the file.
        container: the open `av.container.InputContainer`.
    """
    name = container.format.name
    if "mp4" in name:
        tables = [s.index_entries for s in container.streams]
        last = [t[len(t) - 1] for t in tables if len(t)]
        end = max((e.pos + e.size for e in last), default=0)
    elif "matroska" in name:
        end = _matroska_end(path)
    elif name == "avi":
        with path.open("rb") as file:
            end = 8 + struct.unpack("<4xI", file.read(8))[0]
    else:
        return 0
    return max(0, end - path.stat().st_size)


def _matroska_end(path):
    with path.open("rb") as file:
        header = _element_size(file)
        file.seek(header or 0, 1)
        segment = _element_size(file)
        return 0 if segment is None else file.tell() + segment


def _element_size(file):
    """Reads an EBML element's identifier and size; None where that is unknown."""
    _read_number(file)
    length, value = _read_number(file)
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value


def _read_number(file):
    first = file.read(1) or b"\xff"
    length = 9 - first[0].bit_length()
    return length, int.from_bytes(first + file.read(length - 1), "big")
