import functools
import os
import zipfile
import zlib
from pathlib import Path

from stablevid_tf.data.images_reader import natural


class Archive:
    """A folder, or a zip file that is read as one without being unpacked.

    Names are relative to it, with ``/``. It can be sent to another process.

    Args:
        path: the folder or the zip file.
        inside: a folder in it that is taken as its top.

    Raises:
        ValueError: a file that is no zip file, or only the beginning of one.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from stablevid_tf.data.builders.archive import Archive
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "f10.txt").write_text("b")
        >>> _ = (folder / "f2.txt").write_text("a")
        >>> Archive(folder).names()
        ['f2.txt', 'f10.txt']
        >>> Archive(folder).read("f2.txt")
        b'a'
    """

    def __init__(self, path, inside=""):
        self.path, self.inside = Path(path), inside
        self._zip, self._members = None, None
        if not self.path.is_dir():
            self._open()

    def __reduce__(self):
        return _opened, (self.path, self.inside)

    def within(self, folder):
        """The same archive with another top, one of its folders."""
        inner = Archive.__new__(Archive)
        inner.__dict__.update(self.__dict__)
        inner.inside = self._full(folder)
        return inner

    def names(self, folder=""):
        """What lies in a folder of it, in natural order; nothing if it is absent."""
        full = self._full(folder)
        if self._members is not None:
            return sorted(self._members.get(full, ()), key=natural)
        place = self.path / full
        return sorted(os.listdir(place), key=natural) if place.is_dir() else []

    def __contains__(self, name):
        full = self._full(name)
        if self._members is not None:
            top, _, last = full.rpartition("/")
            return not full or last in self._members.get(top, ())
        return (self.path / full).exists()

    def read(self, name):
        """The bytes of a file of it.

        Raises:
            OSError: it cannot be read, or (in a zip file) its checksum is wrong.
        """
        if self._zip is None:
            return (self.path / self._full(name)).read_bytes()
        try:
            return self._zip.read(self._full(name))
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            raise OSError(f"{self.where(name)}: {error}") from error

    def where(self, name=""):
        """The place of a name, for messages."""
        return str(self.path / self._full(name))

    def _full(self, name):
        return "/".join(part for part in (self.inside, name) if part)

    def _open(self):
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(
                f"{self.path}: not a whole zip file ({error}); its download may have "
                "been cut short: compare its size with the one the site states"
            ) from error
        self._members = {}
        for name in self._zip.namelist():
            top, _, last = name.rstrip("/").rpartition("/")
            while last not in self._members.setdefault(top, {}):
                self._members[top][last] = True
                top, _, last = top.rpartition("/")
                if not last:
                    break


@functools.lru_cache(maxsize=8)
def _opened(path, inside):
    """Another process opens it once, not with every sequence that it is sent."""
    return Archive(path, inside)


def find(root, archive, *insides, holds=""):
    """A part of a dataset, unpacked or in its zip file.

    Args:
        root: the folder that holds what was downloaded.
        archive: the name of the zip file.
        *insides: where in it the part may stand; the first that exists is taken.
        holds: what must lie in that place.

    Returns:
        An :class:`Archive` whose top is that place, or None if there is none.

    Raises:
        ValueError: the zip file is not whole.
    """
    places = [Path(root)]
    if (Path(root) / archive).is_file():
        places.append(Path(root) / archive)
    for place in places:
        whole = Archive(place)
        for inside in insides:
            if "/".join(filter(None, (inside, holds))) in whole:
                return whole.within(inside)
    return None
