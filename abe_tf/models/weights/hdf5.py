"""Keras' HDF5 weight files of strangers: nothing outside the file is ever read."""

from __future__ import annotations

import h5py


def item(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """What lies at a path below a group; `None` where nothing does.

    HDF5 follows links into other files, and reads data sets out of them; neither comes
    with weights.

    Args:
      group: Where the path starts.
      path: Names with slashes between.

    Raises:
      OSError: On the way is a link, or it is stored in another file.
    """
    for name in path.strip("/").split("/"):
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise OSError(f"{name!r} is a link, and weight files have none")
        group = group[name]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise OSError(f"{path!r} is stored in another file")
    return group


def layers_with_weights(root: h5py.Group) -> list[str]:
    """Names of the layers that have weights, in their order.

    Raises:
      KeyError: The file does not tell them.
      OSError: The file is damaged, as for `item`.
    """
    names = [_text(name) for name in root.attrs["layer_names"]]
    return [name for name in names if weights(root, name)]


def weights(root: h5py.Group, layer: str) -> list[h5py.Dataset]:
    """A layer's weights, unread; none where the file lacks the layer.

    Raises:
      KeyError: The file lacks a weight that it names.
      OSError: A weight is not of numbers, or as of `item`.
    """
    group = item(root, layer)
    if group is None:
        return []
    arrays = []
    for name in map(_text, group.attrs["weight_names"]):
        dataset = item(group, name)
        if not isinstance(dataset, h5py.Dataset):
            raise KeyError(f"{name!r} is no weight of {layer!r}")
        if dataset.dtype.kind != "f":
            # An element of text may be as large as a whole network.
            raise OSError(f"{name!r} of {layer!r} is not of floating point numbers")
        arrays.append(dataset)
    return arrays


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
