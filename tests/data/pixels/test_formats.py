"""Every mode x format x orientation, and public test images, held against Pillow."""

import io
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, TiffImagePlugin

from abe_tf.data.pixels import conversion, decoding, kinds
from tests.conftest import ROOT
from tests.helpers.images import (
    PHOTO,
    bitmap,
    by_pillow,
    gif_frame,
    run_lengths,
    save,
    translucent,
    turned,
    without_end,
    ycck,
)

DECODE = tf.function(decoding.decode, input_signature=[tf.TensorSpec([], tf.string)])
PUBLIC = ROOT.parent / "shared" / "data" / "images"
MODES = {
    **{mode: PHOTO.convert(mode) for mode in ("1", "L", "P", "RGB")},
    **{mode: translucent().convert(mode) for mode in ("LA", "RGBA")},
    "I;16": Image.fromarray(
        np.random.default_rng(3).integers(0, 2**16, [23, 37], np.uint16)
    ),
}
# As bytes of a pixel, from the lowest.
_RGBA = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
_BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
BITMAPS = {
    **{f"{bits} bits": bitmap(bits) for bits in (1, 4, 8, 16, 24, 32)},
    "top row first": bitmap(24, top_first=True),
    "a gap before the pixels": bitmap(8, gap=2),
    "565": bitmap(16, (0xF800, 0x07E0, 0x001F)),
    "444": bitmap(16, (0x0F00, 0x00F0, 0x000F)),
    "masks without alpha": bitmap(32, _BGRA[:3]),
    "masks with alpha": bitmap(32, _BGRA, header=56),
    "masks in another order": bitmap(32, _RGBA, header=124),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", MODES)
def test_every_png_and_orientation(mode, orientation):
    encoded = save(MODES[mode], "PNG", exif=turned(orientation))
    pixels, expected = DECODE(encoded).numpy().astype(int), by_pillow(encoded)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_a_channel(channels):
    values = np.random.default_rng(4).integers(0, 2**16, [9, 7, channels])
    encoded = tf.io.encode_png(values.astype(np.uint16)).numpy()
    colour = values[..., : channels - 1 + channels % 2] / 65535
    alpha = values[..., -1:] / 65535 if channels % 2 == 0 else 1.0
    expected = 255 * (colour * alpha + 1 - alpha)
    pixels = DECODE(encoded).numpy().astype(float)
    assert np.abs(pixels - expected).max() <= 0.51


@pytest.mark.parametrize("kind", BITMAPS)
def test_bitmaps(kind):
    expected = by_pillow(BITMAPS[kind]) if kind != "444" else None
    pixels = DECODE(BITMAPS[kind]).numpy().astype(int)
    if expected is None:
        # Pillow knows no such masks: four bits fill the range in steps of 17.
        assert set(np.unique(pixels % 17)) == {0}
        assert len(np.unique(pixels)) > 8
        return
    assert np.abs(pixels - expected).max() <= 1


@pytest.mark.parametrize("transparent", [None, 5])
def test_a_first_frame_that_is_a_part_lies_on_white(transparent):
    encoded = gif_frame(transparent=transparent)
    pixels = DECODE(encoded).numpy()
    frame = Image.open(io.BytesIO(encoded))
    frame.load()
    inside = by_pillow(encoded)[2:13, 3:23]
    np.testing.assert_array_equal(pixels[2:13, 3:23], inside)
    around = np.ones(pixels.shape[:2], bool)
    around[2:13, 3:23] = False
    assert pixels.shape == (23, 37, 3)
    assert (pixels[around] == 255).all()


def test_transparent_colours_of_a_gif_are_white():
    encoded = save(PHOTO.quantize(8), "GIF", transparency=3)
    pixels, expected = DECODE(encoded).numpy(), by_pillow(encoded)
    assert (expected == 255).all(-1).any()
    np.testing.assert_array_equal(pixels, expected)


def inks():
    """A picture of four inks, black among them."""
    black = np.linspace(0, 255, PHOTO.width * PHOTO.height).reshape(PHOTO.size[::-1])
    colours = np.asarray(PHOTO.convert("CMYK")).copy()
    colours[..., 3] = black
    return Image.fromarray(colours, "CMYK")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCCK"])
def test_every_jpeg_and_orientation(mode, progressive, orientation):
    of_inks = mode in ("CMYK", "YCCK")
    image = inks() if of_inks else MODES[mode]
    options = {"exif": turned(orientation), "quality": 95, "progressive": progressive}
    encoded = save(image, "JPEG", **options)
    if mode == "YCCK":
        encoded = ycck(encoded)
    pixels, expected = DECODE(encoded).numpy().astype(int), by_pillow(encoded)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 2


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 2}, {"exif": turned(6)}]
)
def test_a_jpeg_without_its_end_marker_is_whole(options):
    whole = save(PHOTO, "JPEG", quality=90, **options)
    np.testing.assert_array_equal(DECODE(without_end(whole)), DECODE(whole))


@pytest.mark.parametrize(
    ("kind", "exif"),
    [
        *[
            ("WEBP", exif)
            for exif in (b"MM\0*\xff\xff\xff\xff", b"garbage", b"MM\0*\0")
        ],
        # Pillow writes no garbage into it.
        ("AVIF", b"MM\0*\xff\xff\xff\xff"),
    ],
)
def test_damaged_exif_data_turn_nothing_and_nobody_is_told(kind, exif, tmp_path):
    """As of a JPEG file: a viewer shows it as it lies."""
    plain, damaged = save(PHOTO, kind), save(PHOTO, kind, exif=b"Exif\0\0" + exif)
    assert exif in damaged
    (tmp_path / "photo").write_bytes(damaged)
    program = (
        "import sys; from abe_tf.data.pixels import conversion as c; "
        "sys.stdout.buffer.write(c.as_png(open(sys.argv[1], 'rb').read(), 10**6))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "photo")]
    result = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    assert result.stderr == b""
    assert result.stdout == conversion.as_png(plain, 10**6)


@pytest.mark.parametrize(
    ("brand", "kind"),
    [(b"he" + rest, "HEIC") for rest in (b"ic", b"ix", b"im", b"is")]
    + [(b"hev" + rest, "HEIC") for rest in (b"c", b"x", b"m", b"s")]
    + [(b"mif1", "HEIC"), (b"msf1", "HEIC"), (b"avif", "AVIF"), (b"isom", None)],
)
def test_brands_of_the_standard_are_told(brand, kind):
    head = b"\0\0\0\x18ftyp" + brand + bytes(40)
    assert kinds.kind_of(head) == kind
    assert kinds.kind_of(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif" + bytes(30)) == "AVIF"


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_a_jpeg_that_was_cut_off_is_refused(options, share):
    noise = np.random.default_rng(5).integers(0, 256, [96, 96, 3], np.uint8)
    whole = save(Image.fromarray(noise), "JPEG", quality=90, **options)
    with pytest.raises(tf.errors.InvalidArgumentError):
        DECODE(whole[: int(share * len(whole))])


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("WebP", save(PHOTO, "WEBP")),
        ("TIFF", save(PHOTO, "TIFF")),
        ("AVIF", save(PHOTO, "AVIF")),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("JPEG XL", b"\xff\x0a\0\0"),
        ("something else", b"no image at all"),
        ("an empty file", b""),
    ],
)
def test_other_formats_are_refused_by_name(kind, encoded):
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=f"no JPEG, PNG, GIF or BMP file but {kind}",
    ):
        DECODE(encoded)


CONVERTED = {
    "WebP": save(PHOTO, "WEBP", lossless=True),
    "WebP, alpha": save(translucent(), "WEBP", lossless=True, exact=True),
    "AVIF": save(PHOTO, "AVIF", quality=90),
    **{
        f"{kind}, orientation {orientation}": save(
            PHOTO, kind.upper(), exif=turned(orientation), quality=90
        )
        for kind in ("WebP", "AVIF")
        for orientation in range(1, 9)
    },
    "AVIF, alpha": save(translucent(), "AVIF", quality=90),
    **{
        f"TIFF, {mode}, orientation {orientation}": save(
            MODES[mode], "TIFF", exif=turned(orientation)
        )
        for mode in ("1", "L", "P", "RGB", "RGBA", "I;16")
        for orientation in range(1, 9)
    },
    "TIFF, compressed": save(PHOTO, "TIFF", compression="tiff_lzw"),
    "BMP, run lengths": run_lengths(),
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_converted_files_are_what_pillow_shows(kind):
    encoded = CONVERTED[kind]
    assert kinds.kind_of(encoded[:64]) in kinds.CONVERTED
    png = conversion.as_png(encoded, 10**6)
    np.testing.assert_array_equal(DECODE(png), by_pillow(encoded))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_file_is_converted_with_its_plugin(orientation):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    encoded = save(PHOTO, "HEIF", quality=-1, exif=turned(orientation))
    assert kinds.kind_of(encoded[:64]) == "HEIC"
    png = conversion.as_png(encoded, 10**6)
    np.testing.assert_array_equal(DECODE(png), by_pillow(encoded))


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (CONVERTED["TIFF, compressed"][:200], "a TIFF file that is broken"),
        (save(PHOTO, "WEBP")[:60], "a WebP file that is broken"),
        (save(Image.new("F", (4, 4)), "TIFF"), "32 bits a channel"),
        (save(Image.new("L", (2000, 2000)), "TIFF"), "at most 1000000 pixels"),
    ],
)
def test_what_cannot_be_converted_is_told(encoded, message):
    with pytest.raises(conversion.ConversionError, match=message):
        conversion.as_png(encoded, 10**6)


def _public():
    names = [p for p in sorted(PUBLIC.rglob("*")) if p.is_file()]
    return [p for p in names if p.suffix not in (".md", ".txt") and p.name != "LICENSE"]


def _by_us(encoded):
    return DECODE(conversion.readable(encoded, 10**8)).numpy().astype(int)


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public test images are not here")
def test_public_test_images_are_what_pillow_shows():
    """What either refuses is listed; what both read is equal to a grey level."""
    refused, only_ours, wrong = {}, [], {}
    for path in _public():
        encoded = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected = by_pillow(encoded)
            except Exception:  # noqa: BLE001  (whatever Pillow says of a broken file)
                expected = None
        name = str(path.relative_to(PUBLIC))
        try:
            pixels = _by_us(encoded)
        except (tf.errors.InvalidArgumentError, conversion.ConversionError) as error:
            if expected is not None:
                refused[name] = str(error).splitlines()[0][:120]
            continue
        if expected is None:
            only_ours.append(name)
        elif pixels.shape != expected.shape:
            wrong[name] = pixels.shape, expected.shape
        elif path.name not in OTHERWISE:
            worst = np.abs(pixels - expected).max()
            if worst > _tolerance(path, encoded):
                wrong[name] = worst
    print(len(_public()), "files; only ours:", only_ours, "refused:", refused)
    assert len(_public()) > 100
    assert not wrong
    assert set(refused) <= REFUSED_PUBLIC


def _tolerance(path, encoded):
    return 2 if kinds.kind_of(encoded[:64]) == "JPEG" else 1


# Files that Pillow reads and we refuse, by name: its checksum is wrong on purpose.
REFUSED_PUBLIC = {"pngsuite/png/xcsn0g01.png"}
# Files that are read otherwise, and why.
OTHERWISE = {
    # Pillow has no opacity of one bit.
    *("V3_A1_R5_G5_B5.bmp", "V3_A1_R5_G5_B5_Top_Down.bmp", "V5_A1_R5_G5_B5.bmp"),
    # Where the first frame does not reach: white, as a transparent page shows it, and
    # not the palette's first colour.
    *("border_touching_layers.gif", "issue_1455_undersized.gif"),
}


def tiff(image, tags):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for number, value in tags.items():
        info[number] = value
    return save(image, "TIFF", tiffinfo=info)


@pytest.mark.parametrize(
    "tags", [{254: 1}, {271: "a maker", 330: 8}, {50706: b"\1\4\0\0"}]
)
def test_raw_files_of_cameras_are_no_photos(tags):
    with pytest.raises(conversion.ConversionError, match="a raw file of a camera"):
        conversion.as_png(tiff(PHOTO, tags), 10**6)


@pytest.mark.parametrize("white_is_zero", [False, True])
def test_wide_grey_fills_the_range_that_the_file_states(white_is_zero):
    """Twelve bits in sixteen; and from white to black."""
    values = np.array([[0, 1365, 2730, 4095]], np.uint16)
    tags = {258: (12,), 262: 0 if white_is_zero else 1}
    expected = [255, 170, 85, 0] if white_is_zero else [0, 85, 170, 255]
    found = conversion._eight_bits(Image.fromarray(values), tags)
    assert np.array(found)[0, :, 0].tolist() == expected


def test_only_our_bound_holds_for_large_photos():
    large = save(Image.new("L", (15_000, 12_000)), "TIFF", compression="tiff_lzw")
    with pytest.raises(conversion.ConversionError, match="at most 120000000 pixels"):
        conversion.as_png(large, 120_000_000)
    assert conversion.as_png(large, 200_000_000)[:4] == b"\x89PNG"


def test_an_old_bitmap_is_told_by_name():
    with pytest.raises(tf.errors.InvalidArgumentError, match="old OS/2 headers"):
        DECODE(b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 4, 4, 1, 24) + bytes(48))


@pytest.mark.parametrize("chance", [b"", b"\xff\xd9", b"\xff\xda", b"\xff\xda\xff\xd9"])
def test_a_film_behind_a_photo_changes_nothing(chance):
    whole = save(PHOTO, "JPEG", quality=90)
    noise = np.random.default_rng(6).integers(0, 255, 5000, np.uint8).tobytes()
    with_film = whole + noise + chance + noise
    assert not kinds.lacks_end(with_film)
    np.testing.assert_array_equal(DECODE(with_film), DECODE(whole))
