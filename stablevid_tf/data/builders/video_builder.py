import warnings
from pathlib import Path

from stablevid_tf.data.builders.picture import encode, picture
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder
from stablevid_tf.data.images_reader import IMAGE_SUFFIXES, natural
from stablevid_tf.data.list_videos import key_of, list_videos
from stablevid_tf.data.video import open_video

# A record of TFRecord ends at 2 GiB.
_LONGEST = 2**29


class VideoBuilder(SequenceBuilder, skip_registration=True):
    """Builders of videos in any form that :func:`stablevid_tf.data.open_video` reads.

    A video that cannot be read, or whose pictures differ in size, is left out; how
    many were is said at the end and kept in the dataset's metadata. Of a video of more
    than 512 MiB of PNG files several examples are made, one after another; the ``id``
    of the later ones ends in ``@`` and the number of their first frame.
    """

    def folders(self, root):
        """``{split: folder of videos}``."""
        raise NotImplementedError

    def whole(self, videos):
        """What a whole set would hold beside ``{split: paths}``, in words."""
        return []

    def stamps(self, root):
        videos, _ = self._videos(root)
        return [key_of(path) for paths in videos.values() for path in paths]

    def _videos(self, root):
        videos, missing = {}, []
        for split, folder in self.folders(root).items():
            try:
                videos[split] = list_videos(folder)
            except FileNotFoundError as error:
                missing.append(str(error))
        return videos, missing

    def _split_generators(self, dl_manager):
        root = Path(dl_manager.manual_dir)
        folders = self.folders(root)
        videos, missing = self._videos(root)
        missing += self.whole({split: videos.get(split, []) for split in folders})
        self._insist(root, videos, missing)
        return {
            split: self._generate_examples(folders[split], paths)
            for split, paths in videos.items()
        }

    def _generate_examples(self, folder, paths):
        left_out, index = [], 0
        for path in paths:
            name = path.name if path == folder else path.relative_to(folder).as_posix()
            pieces = _pieces(path)
            while True:
                try:
                    start, frames = next(pieces, (None, None))
                except (OSError, ValueError) as error:
                    left_out.append(str(error))
                    break
                if frames is None:
                    break
                yield (
                    index,
                    {"id": f"{name}@{start}" if start else name, "video": frames},
                )
                index += 1
        self.info.metadata["left_out"] += len(left_out)
        if left_out:
            text = (
                f"{len(left_out)} of {len(paths)} videos are left out, or end early. "
                f"First: {left_out[0]}"
            )
            if not index:
                raise ValueError(f"{folder}: {text}")
            warnings.warn(text, stacklevel=2)


def _pieces(path):
    """The PNG files of a video: ``(first frame's number, files)``, none too large."""
    start, size, frames, sizes = 0, 0, [], set()
    for number, (data, shape) in enumerate(_frames(path)):
        sizes.add(shape)
        if len(sizes) > 1:
            raise ValueError(f"{path}: pictures of several sizes, {sorted(sizes)}")
        if frames and size + len(data) > _LONGEST:
            yield start, frames
            start, size, frames = number, 0, []
        frames.append(data)
        size += len(data)
    if not frames:
        raise ValueError(f"{path}: no frames")
    yield start, frames


def _frames(path):
    """PNG files and their sizes; those of a folder as they are."""
    if not path.is_dir():
        with open_video(path) as video:
            for frame in video:
                yield encode(frame.image), frame.image.shape[:2]
        return
    files = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    told = False
    for file in sorted(files, key=natural):
        data, shape, lost = picture(file.read_bytes(), file)
        if lost and not told:
            warnings.warn(f"{file}: {lost}", stacklevel=2)
            told = True
        yield data, shape
