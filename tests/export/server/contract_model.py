"""A small SavedModel with a signature for each rule of the REST contract.

python -m tests.export.server.contract_model FOLDER
"""

import os
import sys

import tensorflow as tf

from export.publish import serving_files


def spec(*shape, dtype=tf.float32, name):
    return tf.TensorSpec(shape, dtype, name=name)


def mean_colour(image_bytes):
    def decode(encoded):
        image = tf.io.decode_image(encoded, 3, expand_animations=False)
        return tf.reduce_mean(tf.cast(image, tf.float32), [0, 1])

    colour = tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)
    return {"colour": colour}


SIGNATURES = {
    "serving_default": (
        mean_colour,
        [spec(None, dtype=tf.string, name="image_bytes")],
    ),
    "two": (
        lambda a, b: {"sum": a + b, "product": a * b},
        [spec(None, name="a"), spec(None, name="b")],
    ),
    "echo": (lambda x: {"y": tf.identity(x)}, [spec(None, None, name="x")]),
    "count": (
        lambda n: {"m": tf.cast(n, tf.int32)},
        [spec(None, dtype=tf.uint8, name="n")],
    ),
    "texts": (
        lambda text: {
            "upper": tf.strings.upper(text),
            "upper_bytes": tf.strings.upper(text),
        },
        [spec(None, dtype=tf.string, name="text")],
    ),
    "total": (lambda x: {"total": tf.reduce_sum(x)}, [spec(None, name="x")]),
    "half": (lambda x: {"y": tf.cast(x, tf.float16)}, [spec(None, name="x")]),
    "ratio": (lambda x: {"y": x / x}, [spec(None, name="x")]),
    "whole": (
        lambda small, large: {"sum": tf.cast(small, tf.int64) + large},
        [
            spec(None, dtype=tf.int32, name="small"),
            spec(None, dtype=tf.int64, name="large"),
        ],
    ),
    "endless": (
        lambda x: {
            "y": tf.while_loop(lambda y: y[0] < 2e9, lambda y: [y + 1e-3], [x])[0]
        },
        [spec(None, name="x")],
    ),
    "scalar": (lambda s: {"y": 2 * s}, [spec(name="s")]),
    "brain": (
        lambda x: {"y": tf.cast(x, tf.float32)},
        [spec(None, dtype=tf.bfloat16, name="x")],
    ),
    "longer": (lambda x: {"y": tf.concat([x, x], 0)}, [spec(None, name="x")]),
    "uneven": (
        lambda x: {"one": x[:1], "two": tf.concat([x, x], 0)},
        [spec(None, name="x")],
    ),
    "first": (lambda x: {"y": x[:1]}, [spec(None, name="x")]),
    "unsigned": (
        lambda n: {"m": n + tf.constant(1, tf.uint32)},
        [spec(None, dtype=tf.uint32, name="n")],
    ),
    "count_up": (
        lambda x: {"y": tf.while_loop(lambda y: y < x, lambda y: y + 1, [0.0])[0]},
        [spec(name="x")],
    ),
    "pairs": (lambda x: {"y": 2 * x}, [spec(None, 2, name="x")]),
}


def write(folder, version=1):
    """Saves it as a version of a model folder."""
    module = tf.Module()
    signatures = {
        name: tf.function(function, input_signature=inputs)
        for name, (function, inputs) in SIGNATURES.items()
    }
    beside = os.path.join(folder, "incomplete-contract")
    tf.saved_model.save(module, beside, signatures=signatures)
    os.rename(beside, os.path.join(folder, str(version)))


def write_all(folder):
    """Two versions, and the file that labels them `stable` and `canary`."""
    for version in (1, 2):
        write(folder, version)
    text = serving_files.models_config([1, 2], "contract")
    with open(os.path.join(folder, "models.config"), "w") as file:
        file.write(text)


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    write_all(sys.argv[1])
