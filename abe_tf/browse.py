"""Shows an index of photos as a page: search by photo, part of a photo, likes, ticks.

python -m abe_tf.browse --index=INDEX --port=8080
"""

from __future__ import annotations

import functools
import socket
import sys
import threading

from abe_tf.config import command
from abe_tf.config.index import BrowseConfig, IndexConfig, SourceConfig
from abe_tf.errors import InputError
from abe_tf.photo_index import database

_HOST = "127.0.0.1"
_MB = 1_000_000
# For a head to arrive, and for an answer to be read on.
_SECONDS = 30.0


def main(index: IndexConfig, source: SourceConfig, browse: BrowseConfig) -> None:
    """Serves the page until Ctrl-C or SIGTERM."""
    folder = index.require()
    with database.opened(folder):
        pass
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, browse.port))
        # From here on browsers may come; they are answered once all is there.
        listening.listen()
    except OSError as error:
        raise InputError(
            "--port must be one that is free. "
            f"Received: {browse.port}: {error.strerror}. Choose another one."
        ) from error
    import uvicorn

    from abe_tf.photo_index.page.application import application
    from abe_tf.photo_index.page.library import Library
    from abe_tf.photo_index.page.uploads import Uploads
    from abe_tf.web.head_limits import BoundedHeads, Connections

    limit = browse.max_upload_mb * _MB
    library = Library(folder, source, Uploads(8 * limit))
    threading.Thread(target=library.warm, daemon=True).start()
    server = uvicorn.Server(
        uvicorn.Config(
            application(library, _HOST, limit),
            log_level="warning",
            # Nobody else is on this machine's own address.
            limit_concurrency=256,
            http=functools.partial(  # type: ignore[arg-type]
                BoundedHeads, Connections(_SECONDS)
            ),
            ws="none",
            timeout_keep_alive=30,
            server_header=False,
        )
    )
    port = listening.getsockname()[1]
    print(f"http://{_HOST}:{port}/    (Ctrl-C ends it)", file=sys.stderr, flush=True)
    server.run([listening])


if __name__ == "__main__":
    command.run(main, IndexConfig, SourceConfig, BrowseConfig)
