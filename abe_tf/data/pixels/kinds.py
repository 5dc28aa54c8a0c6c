"""What a file is, told by its bytes and not by its name; without TensorFlow."""

from __future__ import annotations

import os
import stat

# What the network's own graph decodes.
DECODED = ("JPEG", "PNG", "GIF", "BMP")
# What Pillow converts before, with a plugin for the last one.
CONVERTED = ("WebP", "TIFF", "AVIF", "old BMP", "HEIC")
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
)
# Where in a file what says that it is of a kind that the graph does not decode.
NOT_DECODED = (
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    *(
        (4, b"ftyp" + brand, "HEIC")
        for brand in (
            *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
            *(b"mif1", b"msf1"),
        )
    ),
)
# Sizes of the second header of a BMP file, by which its two letters are believed; those
# from 40 on can be read where the pixels are not compressed.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_FIRST_READ, _OS2 = 40, 64
_BMP_BITS = {0: (1, 4, 8, 16, 24, 32), 3: (16, 32), 6: (16, 32)}
_HEAD, _TAIL = 64, 64


def kind_of(head: bytes) -> str | None:
    """The format of an image file.

    Args:
      head: Its first 64 bytes, or all of a shorter one.

    Returns:
      "JPEG", "PNG", "GIF", "BMP", "old BMP" (an OS/2 header, or compressed), "WebP",
      "TIFF", "HEIC", "AVIF" or "JPEG XL"; `None` for whatever else.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:2] == b"BM" and _number(head, 14, 4) in _BMP_HEADERS:
        return "BMP" if _is_plain_bmp(head) else "old BMP"
    for start, magic, kind in NOT_DECODED:
        if head.startswith(magic, start):
            # HEIC's own container may say later that AVIF is in it.
            return "AVIF" if kind == "HEIC" and b"avif" in head else kind
    return None


def _is_plain_bmp(head: bytes) -> bool:
    header = _number(head, 14, 4)
    bits = _BMP_BITS.get(_number(head, 30, 4), ())
    return header >= _FIRST_READ and header != _OS2 and _number(head, 28, 2) in bits


def _number(head: bytes, start: int, size: int) -> int:
    return int.from_bytes(head[start : start + size], "little")


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
    return kind == "BMP" and 0 < _number(head, 2, 4) <= size


def lacks_end(content: bytes) -> bool:
    """Whether a file is a JPEG without the marker of its end."""
    if kind_of(content[:_HEAD]) != "JPEG":
        return False
    position = 2
    # Behind the segments, which may hold a small picture with an end of its own.
    while content[position : position + 1] == b"\xff":
        marker = content[position + 1 : position + 2]
        if marker in (b"\xda", b""):
            break
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        position += 1 if marker == b"\xff" else 2 + length
    return b"\xff\xd9" not in content[position:]


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
