"""What all command lines share: flags in, one clear line for a mistake."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from abe_tf import quiet
from abe_tf.config import flagfiles, groups
from abe_tf.errors import InputError, WorkerLostError


def run(
    main: Callable[..., None],
    *config: type[groups.Group],
    with_arguments: bool = False,
) -> None:
    """Parses the flags of the groups and calls `main` with one config each.

    Where it takes arguments that are no flags, it is called with their list too.

    Exits with status 1 and one line where a flag or an input is wrong, with 3 where a
    training diverged, with 130 after Ctrl-C. Every other exception is a bug and keeps
    its stack trace.
    """
    # TensorFlow announces its build and every missing CUDA library otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    quiet.tensorflow()
    for group in config:
        groups.define(group, flags.FLAGS)
        for field in dataclasses.fields(group):  # type: ignore[arg-type]
            # So that --help lists them as this command's own.
            flags.FLAGS.register_key_flag_for_module(
                sys.argv[0], flags.FLAGS[field.name]
            )

    def call_main(arguments: list[str]) -> None:
        rest = [arguments[1:]] if with_arguments else []
        try:
            main(*[groups.read(group, flags.FLAGS) for group in config], *rest)
        except WorkerLostError as error:
            _say(error)
            os._exit(error.status)
        except InputError as error:
            _say(error)
            sys.exit(error.status)
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            sys.exit(130)

    app.run(call_main, flags_parser=lambda argv: _parse(argv, with_arguments))


def _parse(argv: list[str], with_arguments: bool) -> list[str]:
    try:
        with flagfiles.packaged_found(argv) as argv:
            rest = flags.FLAGS(argv)
    except flags.Error as error:
        _fail(error)
    except UnicodeDecodeError:
        _fail(InputError(f"--flagfile must be text. Received: {argv[1:]}."))
    if flags.FLAGS["verbosity"].using_default_value:
        # At app.run's INFO TensorFlow Datasets tells its every step, and at WARNING
        # that a data set which is about to be made is not there.
        flags.FLAGS["verbosity"].value = logging.ERROR
        flags.FLAGS["verbosity"].using_default_value = False
    if rest[1:] and not with_arguments:
        _fail(InputError(f"Every argument must be a --flag. Received: {rest[1]!r}."))
    return rest


def _fail(error: Exception) -> NoReturn:
    _say(error)
    sys.exit(1)


def _say(error: Exception) -> None:
    text = f"{_name()}: {' '.join(str(error).split())}"
    print(text, file=sys.stderr, flush=True)


def _name() -> str:
    """What the command is called, as after `python -m` without its package."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return os.path.splitext(os.path.basename(sys.argv[0]))[0]
    return spec.name.removesuffix(".__main__").rpartition(".")[2]


def default_workdir(prefix: str = "") -> str:
    """runs/NAME for `--flagfile=.../NAME.cfg`.

    Args:
      prefix: Beginning of the folder's name.

    Raises:
      InputError: There is no flagfile.
    """
    name = _flagfile_name()
    if name is None:
        raise InputError(
            "--workdir must be given where no --flagfile names the run. Received: none."
        )
    return os.path.join("runs", prefix + name)


def _flagfile_name() -> str | None:
    """NAME of the last `--flagfile=.../NAME.cfg` on the command line, or `None`."""
    name = None
    for position, argument in enumerate(sys.argv):
        flag, _, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and flag == "flagfile":
            value = value or "".join(sys.argv[position + 1 : position + 2])
            name = os.path.splitext(os.path.basename(value))[0]
    return name
