"""How folders come to lie on disk: whole or not at all.

FOLDER/NAME/            what is complete
FOLDER/incomplete-.../  being written or removed, or left by a process that was killed
FOLDER/.lock            held while entries of the folder change
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator

from abe_tf.storage.files import sync
from abe_tf.storage.locks import LOCK, TakenError, locked

_INCOMPLETE = "incomplete-"
# And no folder of anybody else; a step and a process, as revisions of before had it.
_OURS = re.compile(_INCOMPLETE + r"(\d+-\d+|[0-9a-f]{32})")


@contextlib.contextmanager
def incomplete(folder: str) -> Iterator[str]:
    """A folder to write in; it is gone at the end unless it was published.

    Its name is no other process's, on whatever host. What processes that were killed
    have left is taken away; what another one is writing stays.

    Args:
      folder: Where it lies, which is made where it does not exist.

    Yields:
      Its path.

    Raises:
      OSError: It cannot be written.
    """
    with contextlib.ExitStack() as undo:
        os.makedirs(folder, exist_ok=True)
        # So that no other process takes the new one for a dead one's.
        with _changing(folder) as held:
            if held:
                _clear_dead(folder)
            beside = _new_name(folder)
            os.mkdir(beside)
            undo.callback(shutil.rmtree, beside, ignore_errors=True)
            undo.enter_context(locked(os.path.join(beside, LOCK)))
        yield beside


def clear(folder: str) -> None:
    """Takes away what processes that were killed have left in a folder."""
    if not os.path.isdir(folder):
        return
    with _changing(folder) as held:
        if held:
            _clear_dead(folder)


@contextlib.contextmanager
def publishing(beside: str) -> Iterator[None]:
    """Has the disk hold all of a folder; inside, it may be renamed within its parent.

    Args:
      beside: What `incomplete` gave.

    Raises:
      OSError: The disk does not take it.
    """
    folder = os.path.dirname(beside)
    for path, _, names in os.walk(beside):
        for name in [*names, "."]:
            sync(os.path.join(path, name))
    with _changing(folder):
        # It is no part of what was written; the folder's own lock is held instead.
        os.remove(os.path.join(beside, LOCK))
        yield
        sync(folder)


def replace(beside: str, path: str) -> None:
    """Gives a folder that is written its name; one that has it gives way.

    Args:
      beside: What `incomplete` gave.
      path: In the same folder.

    Raises:
      OSError: The disk does not take it.
    """
    with publishing(beside):
        before = _set_aside(path)
        os.rename(beside, path)
        if before:
            shutil.rmtree(before)


def remove(path: str) -> None:
    """Takes a folder away, at once: no half of it is ever seen under its name.

    Nothing happens where there is none.

    Raises:
      OSError: It cannot be removed.
    """
    if not os.path.isdir(path):
        return
    # With the lock, or another process would clear it away at the same time.
    with _changing(os.path.dirname(path)):
        aside = _set_aside(path)
        if aside:
            shutil.rmtree(aside)


@contextlib.contextmanager
def _changing(folder: str) -> Iterator[bool]:
    with locked(os.path.join(folder, LOCK)) as held:
        yield held


def _set_aside(path: str) -> str | None:
    """The new path of a folder; `None` where there is none."""
    aside = _new_name(os.path.dirname(path))
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return None
    return aside


def _new_name(folder: str) -> str:
    return os.path.join(folder, f"{_INCOMPLETE}{uuid.uuid4().hex}")


def _clear_dead(folder: str) -> None:
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if not (_OURS.fullmatch(name) and os.path.isdir(path)):
            continue
        # Another process is writing it, or has just ended.
        with (
            contextlib.suppress(TakenError, FileNotFoundError),
            locked(os.path.join(path, LOCK), wait=False) as held,
        ):
            if held:
                shutil.rmtree(path)
