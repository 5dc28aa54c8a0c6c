"""Asks TensorFlow Serving, or the local server, about image files.

python -m export.client --url=http://localhost:8501/v1/models/abe PHOTO.jpg FOLDER
"""

from __future__ import annotations

import sys

from abe_tf.config import command
from abe_tf.errors import InputError
from export.ask.answers import Answers
from export.ask.client import Client, ServerError
from export.ask.images import find_images
from export.config.client import ClientConfig


def main(options: ClientConfig, paths: list[str]) -> None:
    """Asks, and prints or writes the answers."""
    url = options.require()
    images = find_images(paths)
    client = Client(
        url,
        options.signature,
        options.label,
        options.batch_size,
        options.concurrency,
        options.retries,
        options.timeout,
    )
    answers = Answers(len(images), options.json or not options.npy)
    try:
        for answer in client.ask(images):
            answers.take(answer)
    except ServerError as error:
        raise InputError(f"{error}") from error
    finally:
        # Also after Ctrl-C: what was answered is the user's.
        if options.npy and answers.answered:
            answers.write(options.npy)
        print(
            f"{len(answers.answered)} of {len(images)} images answered", file=sys.stderr
        )
    if answers.refused:
        sys.exit(1)


if __name__ == "__main__":
    command.run(main, ClientConfig, with_arguments=True)
