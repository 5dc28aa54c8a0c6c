"""The flagfiles of the project, wherever a command is started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

# Where an installed package has them; a checkout has them at its top.
_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGED = os.path.join(os.path.dirname(_HERE), "packaged")


@contextlib.contextmanager
def packaged_found(argv: list[str]) -> Iterator[list[str]]:
    """Has `--flagfile=flags/NAME.cfg` name the package's own where there is no other.

    Flagfiles name one another from the folder that holds `flags/`; while flags are read
    from one of the package's, that is the package's own.

    Args:
      argv: A command line.

    Yields:
      The command line to parse meanwhile.
    """
    elsewhere, packaged = [], False
    for one in argv:
        flag, equals, path = one.partition("=")
        is_flagfile = equals and flag in ("--flagfile", "-flagfile")
        if is_flagfile and _is_packaged(path):
            packaged = True
        elif is_flagfile:
            one = f"{flag}={os.path.abspath(os.path.expanduser(path))}"
        elsewhere.append(one)
    if not packaged:
        yield argv
        return
    with contextlib.chdir(_PACKAGED):
        yield elsewhere


def _is_packaged(path: str) -> bool:
    return (
        not os.path.isabs(path)
        and not os.path.exists(path)
        and os.path.isfile(os.path.join(_PACKAGED, path))
    )
