"""Asks TensorFlow Serving, or the local server, about image files.

python -m export.client --url=http://localhost:8501/v1/models/abe PHOTO.jpg FOLDER
"""

from __future__ import annotations

import sys
from typing import Any

from abe_tf.config import command
from abe_tf.errors import InputError
from export.ask.answers import Answers
from export.ask.client import Client
from export.ask.errors import ServerError
from export.ask.images import find_images
from export.ask.rest_calls import RestCalls
from export.config.client import ClientConfig


def main(options: ClientConfig, paths: list[str]) -> None:
    """Asks, and prints or writes the answers."""
    url, headers = options.require(), options.headers()
    images = find_images(paths)
    calls: Any = RestCalls
    if options.grpc:
        # It comes with TensorFlow, which takes seconds to import.
        from export.ask.grpc_calls import GrpcCalls as calls  # noqa: N813
    client = Client(
        calls(
            url,
            options.signature,
            options.label,
            options.timeout,
            options.answer_mb,
            headers,
            options.ca_file,
        ),
        options.batch_size,
        options.concurrency,
        options.retries,
        options.wait_seconds,
        options.max_pixels,
    )
    answers = Answers(len(images), options.json or not options.npy, options.npy)
    with answers:
        try:
            for answer in client.ask(images):
                answers.take(answer)
        except ServerError as error:
            raise InputError(f"{error}") from error
        finally:
            # Also after Ctrl-C: what was answered is the user's.
            answers.write()
            print(
                f"{answers.answered} of {len(images)} images answered", file=sys.stderr
            )
    if answers.refused:
        sys.exit(1)


if __name__ == "__main__":
    command.run(main, ClientConfig, with_arguments=True)
