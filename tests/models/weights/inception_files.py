"""The two public weight files of Inception v1: their real names and shapes.

Written from the public tables and not from the code under test.
"""

import struct

import numpy as np

# Input channels, then 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj.
BLOCKS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
# What TF-Slim calls them.
SLIM = {
    "3a": "3b",
    "3b": "3c",
    "4a": "4b",
    "4b": "4c",
    "4c": "4d",
    "4d": "4e",
    "4e": "4f",
    "5a": "5b",
    "5b": "5c",
}


def caffe_blobs(seed):
    """Weights [out, in, h, w] and bias [out] by the names of bvlc_googlenet."""
    rng = np.random.default_rng(seed)
    shapes = {
        "conv1/7x7_s2": (64, 3, 7, 7),
        "conv2/3x3_reduce": (64, 64, 1, 1),
        "conv2/3x3": (192, 64, 3, 3),
    }
    for block, (n, a, b, c, d, e, f) in BLOCKS.items():
        shapes |= {
            f"inception_{block}/1x1": (a, n, 1, 1),
            f"inception_{block}/3x3_reduce": (b, n, 1, 1),
            f"inception_{block}/3x3": (c, b, 3, 3),
            f"inception_{block}/5x5_reduce": (d, n, 1, 1),
            f"inception_{block}/5x5": (e, d, 5, 5),
            f"inception_{block}/pool_proj": (f, n, 1, 1),
        }
    blobs = {}
    for name, shape in shapes.items():
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        kernel = rng.normal(0, deviation, shape).astype(np.float32)
        blobs[name] = [kernel, rng.normal(0, 0.1, shape[0]).astype(np.float32)]
    blobs["loss3/classifier"] = [np.ones([5, 1024], np.float32), np.ones(5, np.float32)]
    return blobs


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def caffemodel(blobs, old):
    """A NetParameter: `layers` of V1 with four sizes, or `layer` with BlobShape."""
    parts = [field(1, b"GoogleNet")]
    for name, arrays in blobs.items():
        inner = b""
        for array in arrays:
            data = field(5, array.astype("<f4").tobytes())
            if old:
                sizes = [1] * (4 - array.ndim) + list(array.shape)
                blob = b"".join(field(i + 1, int(n)) for i, n in enumerate(sizes))
                inner += field(6, blob + data)
            else:
                sizes = b"".join(varint(n) for n in array.shape)
                inner += field(7, field(7, field(1, sizes)) + data)
        if old:
            parts.append(field(2, field(4, name.encode()) + field(5, 4) + inner))
        else:
            kind = field(2, b"Convolution")
            parts.append(field(100, field(1, name.encode()) + kind + inner))
        # What else such files hold: a layer without blobs, a float, a fixed64.
        parts.append(field(2 if old else 100, field(4 if old else 1, b"relu")))
    parts.append(varint(9 << 3 | 5) + struct.pack("<f", 1.5))
    parts.append(varint(10 << 3 | 1) + struct.pack("<d", 2.5))
    return b"".join(parts)


def slim_variables(seed):
    """Variables by the names of TF-Slim's checkpoint."""
    rng = np.random.default_rng(seed)
    shapes = {
        "Conv2d_1a_7x7": (7, 7, 3, 64),
        "Conv2d_2b_1x1": (1, 1, 64, 64),
        "Conv2d_2c_3x3": (3, 3, 64, 192),
    }
    for block, (n, a, b, c, d, e, f) in BLOCKS.items():
        scope = f"Mixed_{SLIM[block]}"
        last = "Conv2d_0a_3x3" if scope == "Mixed_5b" else "Conv2d_0b_3x3"
        shapes |= {
            f"{scope}/Branch_0/Conv2d_0a_1x1": (1, 1, n, a),
            f"{scope}/Branch_1/Conv2d_0a_1x1": (1, 1, n, b),
            f"{scope}/Branch_1/Conv2d_0b_3x3": (3, 3, b, c),
            f"{scope}/Branch_2/Conv2d_0a_1x1": (1, 1, n, d),
            f"{scope}/Branch_2/{last}": (3, 3, d, e),
            f"{scope}/Branch_3/Conv2d_0b_1x1": (1, 1, n, f),
        }
    variables = {"InceptionV1/Logits/Conv2d_0c_1x1/weights": np.ones([1, 1, 1024, 5])}
    for name, shape in shapes.items():
        deviation = np.sqrt(2 / np.prod(shape[:3]))
        normal, out = f"InceptionV1/{name}/BatchNorm", shape[3]
        variables |= {
            f"InceptionV1/{name}/weights": rng.normal(0, deviation, shape),
            f"{normal}/beta": rng.normal(0, 0.1, out),
            f"{normal}/moving_mean": rng.normal(0, 0.1, out),
            f"{normal}/moving_variance": rng.uniform(0.5, 1.5, out),
        }
    return {name: value.astype(np.float32) for name, value in variables.items()}
