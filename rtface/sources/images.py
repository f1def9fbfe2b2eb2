"""Stills: one picture, or a folder of them as a source."""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pictures
from PIL import ImageFile, JpegImagePlugin, UnidentifiedImageError

from rtface.errors import PictureError, SourceLost, SourceUnavailable
from rtface.sources import PICTURE_SUFFIXES
from rtface.types import Frame, Image

log = logging.getLogger(__name__)

MOST_PIXELS = 100_000_000
"""A decoded picture takes 3 bytes a pixel, twice for a moment; the largest phone sensors of 2026 have 200 megapixels,
but write JPEG, which is decoded smaller."""

SECONDS_APART = 10.0
"""Between the pictures of a folder, so that no track reaches from one into the next."""

_TURNS = {
    2: Pictures.Transpose.FLIP_LEFT_RIGHT,
    3: Pictures.Transpose.ROTATE_180,
    4: Pictures.Transpose.FLIP_TOP_BOTTOM,
    5: Pictures.Transpose.TRANSPOSE,
    6: Pictures.Transpose.ROTATE_270,
    7: Pictures.Transpose.TRANSVERSE,
    8: Pictures.Transpose.ROTATE_90,
}
"""What sets a picture upright. Source: EXIF 2.32, tag 274 Orientation."""

_CURE = "Save it anew as JPEG or PNG"


def open(uri: str) -> PictureSource:
    """A picture or a folder of pictures.

    Raises:
        SourceUnavailable: nothing there to show.
    """
    path = Path(uri)
    try:
        pictures = list_pictures(path) if path.is_dir() else [path]
    except PictureError as error:
        raise SourceUnavailable(str(error)) from error
    if not pictures:
        known = " ".join(sorted(PICTURE_SUFFIXES))
        raise SourceUnavailable(f"The folder {path.absolute()} holds no pictures ({known}).")
    return PictureSource(uri, pictures)


class PictureSource:
    """Pictures one after the other, ten seconds apart; those that cannot be read are logged and left out."""

    live = False
    stills = True
    status = "streaming"

    def __init__(self, name: str, pictures: Sequence[Path]) -> None:
        """Pictures in the order they are to come."""
        self.name = name
        self._pictures = pictures
        self._closed = False

    def frames(self) -> Iterator[Frame]:
        """Each readable picture.

        Raises:
            SourceLost: not one of them could be read.
        """
        index = 0
        reason = ""
        for picture in self._pictures:
            if self._closed:
                return
            try:
                image = read_picture(picture)
            except PictureError as error:
                reason = str(error)
                log.warning("left out: %s", reason)
                continue
            image.flags.writeable = False
            yield Frame(image, index, index * SECONDS_APART, time.monotonic(), self.name)
            index += 1
        if index == 0:
            raise SourceLost(f"None of the {len(self._pictures)} pictures of {self.name} can be read: {reason}")

    def close(self) -> None:
        """Ends ``frames`` before the next picture."""
        self._closed = True


def list_pictures(folder: Path) -> list[Path]:
    """Pictures of a folder by their endings, not of its subfolders nor hidden ones; "2.jpg" comes before "10.jpg".

    Raises:
        PictureError: no such folder, or it may not be read.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    except OSError as error:
        raise PictureError(f"The folder {folder.absolute()} cannot be read: {error.strerror}.") from error
    return sorted((path for path in found if not path.name.startswith(".")), key=_natural)


def pictures_at(places: Iterable[Path]) -> list[Path]:
    """Files as they are given, whether they are there or not; of folders the pictures in them.

    Raises:
        PictureError: a folder may not be read.
    """
    return [file for place in places for file in (list_pictures(place) if is_folder(place) else [place])]


def is_folder(place: Path) -> bool:
    """Whether it is one; what cannot be looked at is none."""
    try:
        return place.is_dir()
    except OSError:  # a name that is too long: read_picture says so
        return False


def read_picture(path: Path) -> Image:
    """The first or only picture in a file, upright.

    EXIF orientation is applied, 16-bit grey is scaled down, what is transparent becomes white. A JPEG too large to be
    decoded is decoded at a half, a quarter or an eighth of its size.

    Returns:
        (H, W, 3) uint8 BGR, contiguous.

    Raises:
        PictureError: names the file, what is wrong with it and the cure.
    """
    try:
        if path.is_dir():
            raise PictureError(f"{path} is a folder: give the pictures in it.")
        if not path.is_file():
            raise PictureError(
                f"{path} does not exist: check the spelling." if not path.exists() else f"{path} is no file."
            )
        if path.stat().st_size == 0:
            raise PictureError(f"{path} is empty (0 bytes): copy it again from where it came.")
        with warnings.catch_warnings(), _identify(path) as picture:
            _shrink_to_limit(path, picture)
            return _pixels(picture)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(f"{path} is not a picture of a kind we can read. {_CURE}.") from error
    except PermissionError as error:
        raise PictureError(f"{path} may not be read: change its permissions.") from error
    except OSError as error:
        if error.errno is None or error.filename is None:  # Pillow's own, about what is in the file
            raise _damaged(path, error) from error
        raise PictureError(f"{path} cannot be read: {error.strerror}.") from error
    except MemoryError as error:
        raise PictureError(f"{path} does not fit into memory. Make it smaller.") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> PictureError:
    return PictureError(f"{path} is damaged or cut off ({error}). Copy it again, or {_CURE[0].lower()}{_CURE[1:]}.")


def _identify(path: Path) -> ImageFile.ImageFile:
    """Opens by content and reads the header only."""
    warnings.simplefilter("ignore", Pictures.DecompressionBombWarning)  # the limit here is our own
    try:
        picture = Pictures.open(path)
    except Pictures.DecompressionBombError as error:
        # Pillow gives no size with its refusal. A JPEG can be decoded smaller, so its plugin is asked directly.
        try:
            return JpegImagePlugin.JpegImageFile(path)
        except SyntaxError:
            count = re.search(r"\d+", str(error))
            size = f"{int(count[0]) / 1e6:.0f}" if count else "too many"
            raise _too_large(path, size) from error
    assert isinstance(picture, ImageFile.ImageFile)
    return picture


def _shrink_to_limit(path: Path, picture: ImageFile.ImageFile) -> None:
    width, height = picture.size
    scales = (scale for scale in (2, 4, 8) if width * height <= MOST_PIXELS * scale * scale)  # libjpeg's
    if width * height > MOST_PIXELS and picture.format == "JPEG":
        scale = next(scales, 8)
        picture.draft(picture.mode, (width // scale, height // scale))
    if picture.width * picture.height > MOST_PIXELS:
        raise _too_large(path, f"{width}x{height} = {width * height / 1e6:.0f}")


def _too_large(path: Path, size: str) -> PictureError:
    return PictureError(
        f"{path} has {size} megapixels; at most {MOST_PIXELS // 1_000_000} can be read. Scale it down first."
    )


def _pixels(picture: ImageFile.ImageFile) -> Image:
    picture.load()
    plain: Pictures.Image = picture
    if picture.mode.startswith("I") or picture.mode == "F":
        plain = _eight_bits(picture)
    elif picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        plain = _on_white(picture)
    plain = plain.convert("RGB")
    turn = _TURNS.get(_orientation(picture))
    upright = plain.transpose(turn) if turn is not None else plain
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[:, :, ::-1])


def _orientation(picture: ImageFile.ImageFile) -> int:
    """EXIF's number, 1 for upright; an unreadable block is as good as none."""
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception:  # anything may come out of a damaged block, and the pixels are good
        return 1


def _eight_bits(picture: Pictures.Image) -> Pictures.Image:
    """16 bits and wider to 8, keeping the proportions: 16-bit files by their full scale, others by their brightest."""
    values = np.asarray(picture).astype(np.float64)
    top = values.max(initial=0.0)
    full = 65535.0 if picture.mode.startswith("I") and top <= 65535 else max(float(top), 1e-9)
    return Pictures.fromarray(np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8))


def _on_white(picture: Pictures.Image) -> Pictures.Image:
    """What is transparent may hold any colour underneath; paper is white."""
    layers = picture.convert("RGBA")
    return Pictures.alpha_composite(Pictures.new("RGBA", layers.size, "white"), layers)


def _natural(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Digits by their value, letters whatever their case; the plain name settles the rest."""
    pieces = re.split(r"([0-9]+)", path.name.casefold())
    # Odd pieces are digits; the flag keeps numbers and words from being compared with each other.
    return [(n % 2 == 0, int(piece) if n % 2 else 0, piece) for n, piece in enumerate(pieces)], path.name
