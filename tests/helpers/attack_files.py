"""Small image files that keep a decoder busy, by the loops that they go round."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

_SCAN = b"\xff\xda"


def jpeg(width=64, height=48, **options):
    pixels = np.random.default_rng(0).integers(0, 256, [height, width, 3], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def filled_jpeg(count):
    """So many bytes that fill, then an EXIF block that must be looked for."""
    whole = jpeg()
    exif = b"\xff\xe1" + struct.pack(">H", 20) + b"Exif\0\0II*\0\x08\0\0\0\0\0"
    return whole[:2] + b"\xff" * count + exif + whole[2:]


def jpeg_of_segments(count):
    """So many short segments, of which the last one is called like EXIF."""
    whole = jpeg()
    return whole[:2] + b"\xff\xe0\0\2" * count + b"\xff\xe1\0\x08Exif\0\0" + whole[2:]


def jpeg_of_tags(count):
    """An EXIF block that says that it has so many tags."""
    whole = jpeg()
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count)
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block
    # Behind the image, where a decoder does not look.
    return whole[:2] + exif + whole[2:] + bytes(12 * count)


def jpeg_of_scans(side, count):
    """A progressive JPEG of one grey that goes over its pixels again and again."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True, quality=50)
    head, first, again, *_, last = file.getvalue().split(_SCAN)
    return _SCAN.join([head, first, *[again] * count, last])


def png_of_chunks(count):
    """So many empty chunks before the pixels, and behind all the name of EXIF."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    head, pixels = file.getvalue()[:33], file.getvalue()[33:]
    kind = b"abCd"
    chunk = struct.pack(">I", 0) + kind + struct.pack(">I", zlib.crc32(kind))
    return head + chunk * count + pixels + b"eXIf"


def gif_of_comments(count):
    """So many blocks of one byte before the first frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0)
    return head + b"\x21\xfe" + b"\x01x" * count + b"\0;"


def gif_of_blocks(count):
    """A first frame in so many blocks of one byte."""
    head = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHBB", 0, 0, 4, 4, 0, 2)
    return head + frame + b"\x01x" * count + b"\0;"
