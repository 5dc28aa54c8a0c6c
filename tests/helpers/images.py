"""Image files of kinds that Pillow does not write, and what Pillow makes of any."""

import io
import struct

import numpy as np
from PIL import Image, ImageOps

HEIGHT, WIDTH = 23, 37
_CORNERS = np.random.default_rng(0).integers(0, 256, [6, 8, 3], np.uint8)
PHOTO = Image.fromarray(_CORNERS).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def save(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def translucent():
    image = PHOTO.convert("RGBA")
    alpha = np.random.default_rng(1).integers(0, 256, [HEIGHT, WIDTH], np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return image


def turned(orientation):
    """EXIF tags that ask for an orientation."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "a maker", orientation
    return tags


def by_pillow(encoded):
    """Upright, over white, 16 bits divided by 257; int `[height, width, 3]`."""
    image = Image.open(io.BytesIO(encoded))
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(float)
        return np.repeat(np.round(wide / 257)[:, :, None], 3, 2).astype(int)
    if image.mode == "CMYK":
        inks = 255 - np.asarray(image).astype(float)
        return np.round(inks[..., :3] * inks[..., 3:] / 255).astype(int)
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.array(white.convert("RGB")).astype(int)


def bitmap(bits, masks=None, header=40, compression=None, gap=0, top_first=False):
    """A BMP file of noise with so many bits a pixel; `masks` for bit fields."""
    rng = np.random.default_rng(bits)
    colours = 2**bits if bits <= 8 else 0
    row_bytes = (WIDTH * bits + 31) // 32 * 4
    rows = rng.integers(0, 256, [HEIGHT, row_bytes], np.uint8)
    if compression is None:
        compression = 0 if masks is None else 3
    fields = b"".join(struct.pack("<I", mask) for mask in masks or ())
    if header > 40:
        # They stand within the header.
        rest = (fields + bytes(16))[:16] + bytes(header - 56)
        fields = b""
    else:
        rest = b""
    palette = rng.integers(0, 256, [colours, 4], np.uint8)
    palette[:, 3] = 0
    start = 14 + header + len(fields) + 4 * colours + gap
    height = -HEIGHT if top_first else HEIGHT
    second = struct.pack(
        "<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, 0, 0, 0, 0, 0
    )
    body = second + rest + fields + palette.tobytes() + bytes(gap) + rows.tobytes()
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, start) + body


def run_lengths():
    """A BMP file of 8 bits whose rows are of runs."""
    plain = bitmap(8)
    start = 14 + 40 + 4 * 256
    runs = b""
    for row in range(HEIGHT):
        runs += bytes([WIDTH - 5, row, 5, 255 - row, 0, 0])
    runs += b"\0\1"
    header = bytearray(plain[:start])
    header[30:38] = struct.pack("<II", 1, len(runs))
    header[2:6] = struct.pack("<I", start + len(runs))
    return bytes(header) + runs


def gif_frame(left=3, top=2, width=20, height=11, transparent=None):
    """A GIF whose first frame is a part of it."""
    frame = PHOTO.quantize(16).crop((left, top, left + width, top + height))
    alone = save(frame, "GIF", **({} if transparent is None else {"transparency": 5}))
    place = alone.index(b",\0\0\0\0")
    where = struct.pack("<HH", left, top)
    screen = struct.pack("<HH", WIDTH, HEIGHT)
    return alone[:6] + screen + alone[10:place] + b"," + where + alone[place + 5 :]


def without_end(jpeg):
    """A JPEG file that lacks the marker of its end."""
    assert jpeg.endswith(b"\xff\xd9")
    return jpeg[:-2]


def ycck(cmyk_jpeg):
    """Says of a CMYK file that its first three inks are luminance and colours."""
    place = cmyk_jpeg.index(b"Adobe") + 11
    return cmyk_jpeg[:place] + b"\2" + cmyk_jpeg[place + 1 :]


def class_folders(folder, names, count, end):
    """Writes photos of a colour for each class: `folder/NAME/NUMBER.END`."""
    rng = np.random.default_rng(0)
    for name in names:
        colour = rng.integers(30, 226, 3)
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = rng.normal(0, 20, [40, 50, 3])
            pixels = np.clip(colour + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.{end}")
