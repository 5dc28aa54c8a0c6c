"""Flags of the export."""

from __future__ import annotations

import dataclasses
import os
import re

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError
from abe_tf.storage.files import check_place


@dataclasses.dataclass(frozen=True)
class ExportConfig(Group):
    """Where the model goes, and what it answers."""

    export_dir: str | None = option(
        None, "the model folder; the export becomes its next version, from 1"
    )
    version: int | None = option(
        None,
        "another version than the next one; none that exists",
        lower=1,
        upper=2**63 - 1,
    )
    precision: str = option(
        "float32",
        "what the convolutions behind S compute in; what comes out is float32",
        choices=("float32", "bfloat16"),
    )
    gallery: str | None = option(
        None,
        "images of the signature `search`: a folder (of photos, or of one folder a "
        "class), or an .npz file of abe_tf.evaluate --save_embeddings",
    )
    top_k: int = option(10, "how many images `search` answers with", lower=1)
    warmup: str = option(
        "photos",
        "what the records hold that a server runs before it answers: photos of the "
        "split, written anew without their metadata, or noise of the same sizes",
        choices=("photos", "noise"),
    )
    model_name: str = option("abe", "what the server calls the model")
    serving_image: str | None = option(
        None,
        "the server's image in the line that is printed; by default TensorFlow "
        "Serving's of the same version as the TensorFlow that exports",
    )

    def check_together(self) -> None:
        """Checks the name, which stands in addresses and in models.config."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", self.model_name):
            raise InputError(
                "--model_name must be of letters, digits, dots, dashes and "
                f"underscores. Received: {self.model_name!r}."
            )

    def require(self) -> str:
        """The model folder.

        Raises:
          InputError: None was given, TensorFlow would not find its files, or the
            version exists.
        """
        if not self.export_dir:
            raise InputError(
                "--export_dir must name the model folder, such as models/abe. "
                "Received: none."
            )
        check_place("export_dir", self.export_dir)
        if self.version is not None and os.path.exists(
            os.path.join(self.export_dir, str(self.version))
        ):
            raise InputError(
                "--version must be one that does not exist yet. "
                f"Received: {self.version}. Leave it out for the next one."
            )
        return self.export_dir

    def check_paths(self) -> None:
        """Checks that the gallery exists.

        Raises:
          InputError: It does not.
        """
        # A pipe would be waited for.
        if self.gallery and not (
            os.path.isdir(self.gallery) or os.path.isfile(self.gallery)
        ):
            what = "neither" if os.path.exists(self.gallery) else "which does not exist"
            raise InputError(
                "--gallery must be a folder of photos or an .npz file. "
                f"Received: {self.gallery!r}, {what}."
            )
