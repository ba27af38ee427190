"""Small made-up downloads in the layouts of the real ones, by NumPy and Pillow."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def png(random, height, width):
    """The bytes of a picture of noise, and what it holds."""
    image = random.integers(0, 256, (height, width, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue(), image


class Download:
    """Files by name, to be written as a folder or as a zip file; ``images`` is what
    the pictures hold."""

    def __init__(self, seed=0):
        self.files, self.images = {}, {}
        self._random = np.random.default_rng(seed)

    def picture(self, name, height=6, width=10):
        self.files[name], self.images[name] = png(self._random, height, width)

    def unpacked(self, folder):
        for name, data in self.files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return Path(folder)

    def zipped(self, path, only=""):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.files.items():
                if name.startswith(only):
                    archive.writestr(name, data)
        return Path(path)


def vimeo90k(train=3, test=2):
    made = Download()
    names = [f"{1 + n // 2:05d}/{1 + n % 2:04d}" for n in range(train + test)]
    for name in names:
        for t in range(1, 8):
            made.picture(f"vimeo_septuplet/sequences/{name}/im{t}.png")
    # The lists are not in the order of the names.
    lists = {"train": names[:train][::-1], "test": names[train:][::-1]}
    for split, listed in lists.items():
        text = "\n".join(listed) + "\n"
        made.files[f"vimeo_septuplet/sep_{split}list.txt"] = text.encode()
    return made


def reds(form, train=21, val=18, frames=2):
    """One form: its train and its val archive in one tree."""
    made = Download(seed=len(form))
    small = form.endswith("bicubic")
    for part, count in (("train", train), ("val", val)):
        for n in range(count):
            for t in range(frames):
                below = f"{n:03d}/{t:08d}.png"
                top = f"{part}/{part}_{form}" + ("/X4" if small else "")
                made.picture(f"{top}/{below}", *((2, 3) if small else (8, 12)))
    return made


def gopro(train=3, test=2, frames=2):
    made = Download()
    for split, count in (("train", train), ("test", test)):
        for n in range(count):
            for kind in ("blur", "blur_gamma", "sharp"):
                for t in range(47, 47 + frames):
                    made.picture(f"{split}/GOPR{n:04d}_11_00/{kind}/{t:06d}.png")
    return made


def vid4():
    made = Download()
    lengths = {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}
    for name, frames in lengths.items():
        for t in range(frames):
            made.picture(f"GT/{name}/{t:08d}.png")
    return made


def quasi_static(frames=3):
    made = Download()
    for n in range(1, 5):
        # Without leading zeros: 10 comes after 9.
        for t in range(9, 9 + frames):
            made.picture(f"QuasiStaticVideoSet/Sequence{n}/im{t}.png")
    return made


def spmcs(count=3, frames=31):
    made = Download()
    for n in range(count):
        for t in range(frames):
            made.picture(f"test_set/car{n:02d}_001/truth/{t:04d}.png", 8, 8)
            made.picture(f"test_set/car{n:02d}_001/input4/{t:04d}.png", 2, 2)
    return made


def videos(train=2, validation=1, frames=3):
    """Folders of pictures in folders named by the split."""
    made = Download()
    for split, count in (("train", train), ("validation", validation)):
        for n in range(count):
            for t in range(frames):
                # Two sizes: videos of a set need not be alike.
                made.picture(f"{split}/video{n}/{t:03d}.png", 5 + n, 7)
    return made
