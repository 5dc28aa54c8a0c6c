"""All commands by one name, as it is installed: `abe-tf train --flagfile=...`.

python -m abe_tf                 lists them
python -m abe_tf train --help    the same as python -m abe_tf.train --help
"""

from __future__ import annotations

import runpy
import sys

COMMANDS = {
    "train": "abe_tf.train",
    "evaluate": "abe_tf.evaluate",
    "report": "abe_tf.report",
    "sweep": "abe_tf.sweep",
    "compare": "abe_tf.compare",
    "index": "abe_tf.index",
    "search": "abe_tf.search",
    "browse": "abe_tf.browse",
    "duplicates": "abe_tf.duplicates",
    "groups": "abe_tf.groups",
    "label": "abe_tf.label",
    "embed": "abe_tf.embed",
    "hand_over": "abe_tf.hand_over",
    "export": "export.saved_model",
    "serve": "export.local_server",
    "ask": "export.client",
    "data": "abe_tf.data",
    "encoders": "abe_tf.encoders",
    "summary": "abe_tf.summary",
}


def main() -> None:
    """Runs the command that the first argument names, with the others."""
    name, rest = "".join(sys.argv[1:2]), sys.argv[2:]
    if name not in COMMANDS:
        wanted = not name or name in ("--help", "-h", "help")
        if not wanted:
            print(f"abe-tf: There is no such command. Received: {name!r}.")
        print("Commands, each with --help:", *COMMANDS, sep="\n  ")
        sys.exit(0 if wanted else 1)
    sys.argv = [COMMANDS[name], *rest]
    runpy.run_module(COMMANDS[name], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
