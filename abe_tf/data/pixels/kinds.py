"""What a file is, told by its bytes and not by its name; without TensorFlow."""

from __future__ import annotations

import os
import stat

# What is decoded: the rest is known by name only, so that it can be named.
DECODED = ("JPEG", "PNG", "GIF", "BMP")
# A file of such a name is meant as a photo, whatever its bytes are.
_PHOTO_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib"),
    *(".webp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl"),
)
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
# Sizes of the second header of a BMP file, by which its two letters are believed.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_HEAD, _TAIL = 64, 64


def kind_of(head: bytes) -> str | None:
    """The format of an image file.

    Args:
      head: Its first 64 bytes, or all of a shorter one.

    Returns:
      "JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "HEIC", "AVIF" or "JPEG XL"; `None`
      for whatever else.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"avif", b"avis"):
            return "AVIF"
        if head[8:12] in _HEIC_BRANDS:
            return "AVIF" if b"avif" in head else "HEIC"
    return None


def is_named_as_photo(path: str) -> bool:
    """Whether a file's name says that it is a photo."""
    return path.lower().endswith(_PHOTO_ENDINGS)


def kind_of_file(path: str) -> str | None:
    """The format of an image file, as `kind_of`.

    Raises:
      OSError: It cannot be read.
    """
    head, _, _ = _ends(path)
    return kind_of(head)


def looks_whole(path: str) -> bool:
    """Whether a file begins and ends as a whole image file that is decoded does.

    A look at both ends, much cheaper than decoding; what it doubts may be sound.
    """
    try:
        head, tail, size = _ends(path)
    except OSError:
        return False
    kind = kind_of(head)
    if kind == "JPEG":
        return b"\xff\xd9" in tail
    if kind == "PNG":
        return b"IEND" in tail
    if kind == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    stated = int.from_bytes(head[2:6], "little")
    return kind == "BMP" and 0 < stated <= size


def _ends(path: str) -> tuple[bytes, bytes, int]:
    """The first and last bytes of a file, and its size."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        # A pipe would wait for ever.
        return b"", b"", 0
    with open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        return head, file.read(_TAIL), size
