"""How a command line ends: its exit code, an error in one line, and a reader of its output that has gone."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import gc
import io
import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator

from reloop_stream.errors import ReloopError

__all__ = ["FAILED", "INTERRUPTED", "OK", "READER_GONE", "USERS_MISTAKE", "carry_out", "say", "tell"]

OK, FAILED, USERS_MISTAKE, INTERRUPTED = 0, 1, 2, 130
READER_GONE = 141  # what a shell says of a command whose output nobody reads any more: 128 + SIGPIPE

NEAREST = "reloop-nearest"  # the name of `_nearest` among the handlers of encoding errors
IN_ASCII = {"−": "-", "–": "-", "×": "x", "·": ".", "…": "...", "→": "->", "±": "+-", "≤": "<=", "≥": ">="}


def carry_out(command: Callable[[], int], mistakes: tuple[type[Exception], ...]) -> int:
    """The code that a command ends with; an error is said in one line. mistakes: those that its user can put right."""
    atexit.unregister(_let_lie)
    atexit.register(_let_lie)
    with _any_text(sys.stdout):
        try:
            try:
                return command()
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # here, where an error can still be told
        except mistakes as error:
            return say(error, USERS_MISTAKE)
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError as error:
            return READER_GONE if _reader_is_gone() else say(error, FAILED)
        except (ReloopError, OSError) as error:
            return say(error, FAILED)


def _let_lie() -> None:
    """Keep Python from looking for garbage once more at its end: among the objects of torch and numba it takes two thirds of a second.

    What nanobind binds (triton, say) would then be complained of as lost, on stderr."""
    if not any(kind.__module__ == "nanobind" for kind in type.__subclasses__(type)):
        gc.freeze()


def say(error: BaseException | str, code: int) -> int:
    """Print the error to stderr; the code."""
    tell(f"error: {error}")
    return code


def tell(text: str) -> None:
    """A line on stderr, whether or not anybody reads it: what is being done goes on."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe, whose reader has gone, then; what is left goes nowhere, and Python's exit does not complain."""
    try:
        out = sys.stdout.fileno()
    except (AttributeError, OSError):  # none, or one of Python's own
        return False
    is_pipe = stat.S_ISFIFO(os.fstat(out).st_mode) or stat.S_ISSOCK(os.fstat(out).st_mode)
    if is_pipe:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out)
        os.close(nowhere)
    return is_pipe


@contextlib.contextmanager
def _any_text(stream: object) -> Iterator[None]:
    """Within it the stream takes any text: what its encoding lacks (LC_ALL=C, a Windows code page) as near as it can be."""
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    codecs.register_error(NEAREST, _nearest)
    before = stream.errors
    stream.reconfigure(errors=NEAREST)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            stream.reconfigure(errors=before)


def _nearest(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":  # a byte of a file's name that is no text: as it is
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return IN_ASCII.get(letter, plain or "?"), error.start + 1
