"""Flags of the export."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class ExportConfig(Group):
    """Where the model goes."""

    export_dir: str | None = option(
        None, "the model folder; the export becomes its next version, from 1"
    )

    def require(self) -> str:
        """The model folder.

        Raises:
          InputError: None was given.
        """
        if not self.export_dir:
            raise InputError(
                "--export_dir must name the model folder, such as models/abe. "
                "Received: none."
            )
        return self.export_dir
