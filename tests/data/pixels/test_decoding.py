"""Every kind of image file, held against Pillow and through the exported graph too."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from abe_tf.config.data import DataConfig
from abe_tf.data.pixels import decoding
from abe_tf.data.pixels.orientation import exif_orientation
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.runs.trained import TrainedModel
from export.publish.signatures import ServingModule
from tests.helpers import attack_files
from tests.helpers.images import (
    HEIGHT,
    PHOTO,
    WIDTH,
    by_pillow,
    save,
    translucent,
    turned,
)

DECODE = tf.function(decoding.decode, input_signature=[tf.TensorSpec([], tf.string)])


def exif(orientation):
    return save(PHOTO, "JPEG", quality=95, exif=turned(orientation))


def animation():
    frames = [PHOTO.convert("P"), PHOTO.rotate(180).convert("P")]
    return save(frames[0], "GIF", save_all=True, append_images=frames[1:])


def own_table(encoded):
    """The global table of 256 colours becomes the frame's own."""
    table, rest = encoded[13 : 13 + 768], encoded[13 + 768 :]
    place = rest.index(b",\0\0\0\0") + 9
    header = encoded[:10] + b"\0" + encoded[11:13]
    return header + rest[:place] + b"\x87" + table + rest[place + 1 :]


EXACT = {
    "PNG": save(PHOTO, "PNG"),
    "PNG, grey": save(PHOTO.convert("L"), "PNG"),
    "PNG, black and white": save(PHOTO.convert("1"), "PNG"),
    "PNG, palette": save(PHOTO.convert("P"), "PNG"),
    "PNG, palette with a transparent colour": save(
        PHOTO.convert("P"), "PNG", transparency=5
    ),
    "PNG, palette of 16": save(PHOTO.quantize(16), "PNG", bits=4),
    "PNG, alpha": save(translucent(), "PNG"),
    "PNG, grey and alpha": save(translucent().convert("LA"), "PNG"),
    "GIF": save(PHOTO.convert("P"), "GIF"),
    "GIF, animated": animation(),
    "GIF, with a comment": save(PHOTO.convert("P"), "GIF", comment=b"x" * 700),
    "GIF, interlaced": save(PHOTO.convert("P"), "GIF", interlace=1),
    "GIF, of two colours": save(PHOTO.convert("1"), "GIF"),
    "GIF, with a table of its own": own_table(save(PHOTO.convert("P"), "GIF")),
    "BMP": save(PHOTO, "BMP"),
    "BMP, palette": save(PHOTO.convert("P"), "BMP"),
    "BMP, grey": save(PHOTO.convert("L"), "BMP"),
    "BMP, black and white": save(PHOTO.convert("1"), "BMP"),
    "BMP, 32 bits": save(PHOTO.convert("RGBA"), "BMP"),
}
JPEGS = {
    "JPEG": save(PHOTO, "JPEG", quality=95),
    "JPEG, grey": save(PHOTO.convert("L"), "JPEG", quality=95),
    "JPEG, progressive": save(PHOTO, "JPEG", quality=95, progressive=True),
    **{f"JPEG, orientation {number}": exif(number) for number in range(1, 9)},
}
CMYK = save(PHOTO.convert("CMYK"), "JPEG", quality=95)


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_files_are_decoded_as_pillow_does(kind):
    np.testing.assert_array_equal(DECODE(EXACT[kind]), by_pillow(EXACT[kind]))


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_files_differ_from_pillows_by_rounding(kind):
    pixels, expected = DECODE(JPEGS[kind]).numpy(), by_pillow(JPEGS[kind])
    assert pixels.shape == expected.shape
    # TensorFlow's inverse cosine transformation is the fast one.
    assert np.abs(pixels - expected).max() <= 4


def test_cmyk_is_multiplied_out():
    pixels = DECODE(CMYK).numpy().astype(int)
    raw = np.array(Image.open(io.BytesIO(CMYK))).astype(float)
    expected = (255 - raw[..., :3]) * (255 - raw[..., 3:]) / 255
    assert np.abs(pixels - expected).max() <= 4
    assert np.abs(pixels - expected).mean() < 1


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_to_eight(channels):
    values = np.random.default_rng(2).integers(0, 2**16, [5, 7, channels])
    encoded = tf.io.encode_png(values.astype(np.uint16))
    expected = np.broadcast_to(np.round(values / 257), [5, 7, 3])
    np.testing.assert_array_equal(DECODE(encoded), expected)


def grey_png(bits, values, transparent=None):
    """A row of grey values of 1 to 8 bits, which Pillow does not write."""

    def chunk(name, content):
        summed = zlib.crc32(name + content)
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", summed)
        )

    row = "".join(format(value, f"0{bits}b") for value in values)
    row += "0" * (-len(row) % 8)
    scan = b"\0" + int(row, 2).to_bytes(len(row) // 8, "big")
    header = struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0)
    hidden = b""
    if transparent is not None:
        hidden = chunk(b"tRNS", struct.pack(">H", transparent))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            hidden,
            chunk(b"IDAT", zlib.compress(scan)),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [None, 1])
def test_grey_of_few_bits_fills_the_range(bits, transparent):
    values = np.arange(2**bits)
    pixels = DECODE(grey_png(bits, values, transparent)).numpy()
    expected = values * 255 // (2**bits - 1)
    if transparent is not None:
        expected[transparent] = 255
    np.testing.assert_array_equal(pixels[0], np.repeat(expected[:, None], 3, 1))


@pytest.mark.parametrize("name", [b"tRNS", b"eXIf"])
def test_the_name_of_a_chunk_within_a_comment_is_none(name):
    """A chunk is told by its place, and not by a search for its name."""
    plain = grey_png(1, np.array([0, 1, 1, 0]))
    place = plain.index(b"IDAT") - 4
    content = b"Comment\0" + name + b"\0\0\0\1"
    summed = struct.pack(">I", zlib.crc32(b"tEXt" + content))
    comment = struct.pack(">I", len(content)) + b"tEXt" + content + summed
    pixels = DECODE(plain[:place] + comment + plain[place:]).numpy()
    np.testing.assert_array_equal(pixels[0, :, 0], [0, 255, 255, 0])


@pytest.mark.parametrize("kind", [*EXACT, *JPEGS])
def test_the_size_is_read_from_the_header(kind):
    encoded = (EXACT | JPEGS)[kind]
    assert decoding.read_header(encoded).size.numpy().tolist() == [
        *DECODE(encoded).shape[:2]
    ]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "JPEG, orientation 6", "BMP, palette"])
def test_a_window_is_a_part_of_the_whole(kind):
    encoded = (EXACT | JPEGS)[kind]
    window = decoding.decode_window(
        encoded, decoding.read_header(encoded), tf.constant([3, 5, 11, 7])
    )
    np.testing.assert_array_equal(window, DECODE(encoded)[3:14, 5:12])


def test_colours_at_a_windows_edge_are_those_of_the_whole():
    noise = np.random.default_rng(3).integers(0, 256, [64, 80, 3], np.uint8)
    encoded = save(Image.fromarray(noise), "JPEG", quality=95, subsampling="4:2:0")
    whole = DECODE(encoded).numpy()
    for top, left in ((0, 0), (3, 5), (16, 16), (31, 33), (40, 50)):
        header = decoding.read_header(encoded)
        wanted = tf.constant([top, left, 20, 30])
        window = decoding.decode_window(encoded, header, wanted)
        np.testing.assert_array_equal(window, whole[top : top + 20, left : left + 30])


def with_profiles(encoded, count):
    """So many segments of a colour profile before the EXIF block."""
    profile = b"\xff\xe2\0\x12ICC_PROFILE\0\1\1.."
    return encoded[:2] + profile * count + encoded[2:]


def huge(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + b"0000"


REFUSED = {
    "a JPEG with a megabyte of filling": attack_files.filled_jpeg(10**6),
    "a JPEG of 2,000 segments": attack_files.jpeg_of_segments(2000),
    "a JPEG of 400 scans": attack_files.jpeg_of_scans(7000, 400),
    "a GIF of 25,000 comments": attack_files.gif_of_comments(25_000),
    "a GIF of 25,000 blocks": attack_files.gif_of_blocks(25_000),
    "WebP": save(PHOTO, "WEBP"),
    "TIFF": save(PHOTO, "TIFF"),
    "nothing": b"",
    "text": b"this is no image",
    "half a JPEG": JPEGS["JPEG"][:400],
    "half a PNG": EXACT["PNG"][:400],
    "half a GIF": EXACT["GIF"][:400],
    "half a BMP": EXACT["BMP"][:400],
    "a BMP's name": b"BM",
    "BMP, 2 bits": EXACT["BMP"][:28] + b"\x02" + EXACT["BMP"][29:],
    "a GIF of tiny blocks": EXACT["GIF"][:-2] + b"\1\1" * 20_000 + b"\0;",
    "a PNG of 23,000 x 23,000": huge(23000, 23000),
    "a PNG of nothing": huge(0, 5),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_right_is_refused(kind):
    with pytest.raises(tf.errors.InvalidArgumentError):
        DECODE(REFUSED[kind])


@pytest.mark.parametrize(
    ("encoded", "orientation"),
    [
        # As cameras and editors write them.
        (JPEGS["JPEG, orientation 6"].replace(b"\xff\xe1", b"\xff\xff\xe1", 1), 6),
        (with_profiles(JPEGS["JPEG, orientation 6"], 255), 6),
        # Behind what is no image file any more.
        (JPEGS["JPEG, orientation 8"] + b"\xff\xda" * 1000, 8),
        (attack_files.filled_jpeg(900), 1),
    ],
)
def test_orientation_is_found_behind_what_files_have_before_it(encoded, orientation):
    found = tf.function(exif_orientation, [tf.TensorSpec([], tf.string)])
    assert int(found(encoded)) == orientation
    assert int(exif_orientation(tf.constant(encoded))) == orientation
    assert sorted(DECODE(encoded).shape)[0] == 3


@pytest.mark.parametrize("cut", range(20, 120, 7))
def test_damaged_exif_is_no_reason_to_fail(cut):
    """The block that states the orientation may point anywhere."""
    whole = bytearray(JPEGS["JPEG, orientation 6"])
    start = whole.index(b"Exif\0\0") + 6
    rng = np.random.default_rng(cut)
    whole[start + 4 : start + 30] = rng.integers(0, 256, 26, np.uint8).tobytes()
    assert sorted(DECODE(bytes(whole)).shape) == [3, HEIGHT, WIDTH]


def test_the_exported_graph_decodes_as_training_does(tmp_path):
    """A network that shows its pixels, saved and loaded."""
    inputs = tf.keras.Input([16, 16, 3], dtype=tf.uint8)
    shown = tf.keras.layers.Reshape([1, 768])(tf.cast(inputs, tf.float32))
    model = TrainedModel(
        tf.keras.Model(inputs, shown), Preprocessing(16, 18, True), DataConfig(), ""
    )
    module = ServingModule(model.network, model.preprocessing)
    tf.saved_model.save(module, tmp_path, signatures=module.signatures(None, 1))
    signature = tf.saved_model.load(tmp_path).signatures["serving_default"]
    files = [*EXACT.values(), *JPEGS.values(), CMYK]
    served = signature(image_bytes=tf.constant(files))["embedding"]
    direct = [model.preprocessing.for_evaluation(tf.constant(file)) for file in files]
    np.testing.assert_array_equal(
        tf.reshape(served, [-1, 16, 16, 3]), np.array(direct, np.float32)
    )
    for kind in ("WebP", "TIFF", "AVIF"):
        other = tf.constant([save(PHOTO, kind.upper())])
        refused = f"no JPEG, PNG, GIF or BMP file but {kind}"
        with pytest.raises(tf.errors.InvalidArgumentError, match=refused):
            signature(image_bytes=other)
