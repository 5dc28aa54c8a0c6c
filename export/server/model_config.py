"""What models.config asks for, read by protobuf's own reader of text."""

from __future__ import annotations

import dataclasses
import os

from google.protobuf import text_format

from export.runtime import messages, model_folder


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be loaded.

    Attributes:
      versions: Which of those that there are.
      labels: Versions by label.
    """

    versions: set[int]
    labels: dict[str, int]


def wanted(folder: str, name: str) -> Wanted:
    """What a model folder asks for: the newest version where it says nothing.

    Args:
      folder: The model folder.
      name: Name of the model, as its entry in models.config has it.

    Raises:
      ValueError: The file cannot be read as what it should be.
    """
    there = model_folder.versions(folder)
    path = os.path.join(folder, "models.config")
    if not os.path.isfile(path):
        return Wanted(set(there[-1:]), {})
    with open(path, encoding="utf-8") as file:
        text = file.read()
    server = messages.ModelServerConfig()
    try:
        # The server has more fields than are of use here.
        text_format.Parse(text, server, allow_unknown_field=True)
    except text_format.ParseError as error:
        raise ValueError(f"{path!r}: {error}") from error
    entries = [one for one in server.model_config_list.config if one.name == name]
    if not entries:
        names = [one.name for one in server.model_config_list.config]
        raise ValueError(f"{path!r} must name the model {name!r}. It names {names}")
    policy = entries[0].model_version_policy
    labels = {one.key: one.value for one in entries[0].version_labels}
    if policy.HasField("specific"):
        return Wanted(set(policy.specific.versions) & set(there), labels)
    if policy.HasField("all"):
        return Wanted(set(there), labels)
    count = policy.latest.num_versions or 1
    return Wanted(set(there[-count:]), labels)
