"""Flags of the client."""

from __future__ import annotations

import dataclasses
import os

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class ClientConfig(Group):
    """Whom to ask, what, and how patiently."""

    url: str | None = option(
        None, "address of the model, such as http://HOST:8501/v1/models/abe"
    )
    signature: str = option("serving_default", "the signature")
    label: str | None = option(None, "a version's label, such as stable")
    json: bool = option(False, "print a line of JSON an image, beside --npy too")
    npy: str | None = option(
        None,
        "write the answers there instead (.npz, with ids); where the server goes "
        "away, those that there are",
    )
    batch_size: int = option(16, "images of one request", lower=1)
    concurrency: int = option(4, "requests at once", lower=1, upper=64)
    retries: int = option(7, "tries after 429, 503 or a lost connection", lower=0)
    timeout: float = option(60.0, "seconds that a request may take", lower=0.1)

    def require(self) -> str:
        """The address.

        Raises:
          InputError: None was given, or it is none of a model.
        """
        if not self.url or "/v1/models/" not in self.url:
            raise InputError(
                "--url must be a model's address, such as "
                f"http://localhost:8501/v1/models/abe. Received: {self.url!r}."
            )
        if self.npy and not self.npy.endswith(".npz"):
            raise InputError(f"--npy must end in .npz. Received: {self.npy!r}.")
        if self.npy and not os.access(os.path.dirname(self.npy) or ".", os.W_OK):
            raise InputError(
                "--npy must lie in a folder that can be written. "
                f"Received: {self.npy!r}."
            )
        return self.url
