"""Both Inception networks in NumPy, for one image, channels last."""

import numpy as np

from tests.models.weights.inception_files import BLOCKS, SLIM


def windows(x, size, stride):
    """[h, w, channels, size, size]"""
    found = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))
    return found[::stride, ::stride]


def convolve(x, kernel, stride=1):
    """Kernel [h, w, in, out]; x is padded already."""
    columns = windows(x, kernel.shape[0], stride)
    return np.einsum("hwcij,ijco->hwo", columns, kernel, optimize=True)


def pad(x, before, after, value=0.0):
    return np.pad(x, [(before, after), (before, after), (0, 0)], constant_values=value)


def caffe_pool(x):
    """3 x 3, stride 2, sizes rounded up; what hangs over is left out."""
    size = int(np.ceil((len(x) - 3) / 2)) + 1
    over = max(0, 2 * (size - 1) + 3 - len(x))
    return windows(pad(x, 0, over, -np.inf), 3, 2).max(axis=(3, 4))


def normalise_responses(x):
    squares = np.pad(x**2, [(0, 0), (0, 0), (2, 2)])
    total = sum(squares[:, :, i : i + x.shape[2]] for i in range(5))
    return x / (1 + 1e-4 / 5 * total) ** 0.75


def googlenet_pools(pixels, blobs):
    """The outputs of the four poolings and of 5b, in Caffe's conventions."""

    def layer(x, name, padding, stride=1):
        kernel, bias = blobs[name]
        x = pad(x, padding, padding)
        y = convolve(x, kernel.transpose(2, 3, 1, 0), stride) + bias
        return np.maximum(y, 0)

    def block(x, name):
        name = f"inception_{name}"
        pooled = windows(pad(x, 1, 1, -np.inf), 3, 1).max(axis=(3, 4))
        branches = [
            layer(x, f"{name}/1x1", 0),
            layer(layer(x, f"{name}/3x3_reduce", 0), f"{name}/3x3", 1),
            layer(layer(x, f"{name}/5x5_reduce", 0), f"{name}/5x5", 2),
            layer(pooled, f"{name}/pool_proj", 0),
        ]
        return np.concatenate(branches, axis=2)

    x = pixels[:, :, ::-1].astype(np.float64) - [104, 117, 123]
    pools = {"pool1": caffe_pool(layer(x, "conv1/7x7_s2", 3, 2))}
    x = layer(normalise_responses(pools["pool1"]), "conv2/3x3_reduce", 0)
    x = layer(x, "conv2/3x3", 1)
    pools["pool2"] = caffe_pool(normalise_responses(x))
    x = block(block(pools["pool2"], "3a"), "3b")
    x = pools["pool3"] = caffe_pool(x)
    for name in ("4a", "4b", "4c", "4d", "4e"):
        x = block(x, name)
    pools["pool4"] = caffe_pool(x)
    pools["inception_5b"] = block(block(pools["pool4"], "5a"), "5b")
    return pools


def same(x, size, stride, value=0.0):
    """TensorFlow's padding: the odd one behind."""
    total = max(0, (int(np.ceil(len(x) / stride)) - 1) * stride + size - len(x))
    return pad(x, total // 2, total - total // 2, value)


def same_pool(x, size, stride):
    return windows(same(x, size, stride, -np.inf), size, stride).max(axis=(3, 4))


def inception_bn_pools(pixels, variables):
    """The outputs of the four poolings and of the last block, in TF-Slim's."""

    def layer(x, name, stride=1):
        scope = f"InceptionV1/{name}"
        kernel = variables[f"{scope}/weights"]
        beta, mean, variance = (
            variables[f"{scope}/BatchNorm/{v}"]
            for v in ("beta", "moving_mean", "moving_variance")
        )
        y = convolve(same(x, kernel.shape[0], stride), kernel, stride)
        return np.maximum((y - mean) / np.sqrt(variance + 0.001) + beta, 0)

    def block(x, name):
        scope = f"Mixed_{SLIM[name]}"
        last = "Conv2d_0a_3x3" if name == "5a" else "Conv2d_0b_3x3"
        first, second = (layer(x, f"{scope}/Branch_{i}/Conv2d_0a_1x1") for i in (1, 2))
        branches = [
            layer(x, f"{scope}/Branch_0/Conv2d_0a_1x1"),
            layer(first, f"{scope}/Branch_1/Conv2d_0b_3x3"),
            layer(second, f"{scope}/Branch_2/{last}"),
            layer(same_pool(x, 3, 1), f"{scope}/Branch_3/Conv2d_0b_1x1"),
        ]
        return np.concatenate(branches, axis=2)

    x = layer(pixels.astype(np.float64) / 127.5 - 1, "Conv2d_1a_7x7", 2)
    pools = {"pool1": same_pool(x, 3, 2)}
    x = layer(layer(pools["pool1"], "Conv2d_2b_1x1"), "Conv2d_2c_3x3")
    x = pools["pool2"] = same_pool(x, 3, 2)
    for name in BLOCKS:
        if name == "4a":
            x = pools["pool3"] = same_pool(x, 3, 2)
        if name == "5a":
            x = pools["pool4"] = same_pool(x, 2, 2)
        x = block(x, name)
    return {**pools, "inception_5b": x}
