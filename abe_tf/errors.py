"""The one exception that stands for a mistake of the user's."""

from __future__ import annotations


class InputError(ValueError):
    """Something that the user gave is wrong; the text says what, in one line.

    The text states the rule, the value received and what to do. The command lines
    print it and exit with its status; every other exception is a bug of ours and keeps
    its stack trace.
    """

    status = 1


class DivergedError(InputError):
    """Loss or gradient of a training were no numbers any more.

    A sweep tells it from other mistakes by its status.
    """

    status = 3


class WorkerLostError(InputError):
    """Of several processes that train together one has gone.

    What is left of TensorFlow can be used no more, not even to end in order.
    """
