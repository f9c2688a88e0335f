"""The program's edge: whatever nothing foresaw ends the process with one message and an exit code.

Not responsible for the errors that a command knows, nor for when they are worth another try. Loads
next to nothing, so that a program's own imports happen within it: a Ctrl-C meets them too.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
from contextlib import suppress

TYPE_CHECKING = False  # as checkers read it; `typing` takes longer to load than this module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TextIO

    from _typeshed import ReadableBuffer as Buffer

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
TRACEBACK = "TRAINSTACK_TRACEBACK"  # set to anything: the traceback comes before the message

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 - pathlib alone takes longer to load than this module
_OURS = ("benchmarks", "components", "container", "localcloud", "runs")
_CALLED = {"stdout": "standard output", "stderr": "standard error"}
_REMEDIES = {
    errno.ENOSPC: "Make room there, then the same again",
    errno.EDQUOT: "Make room within the quota, then the same again",
    errno.EROFS: "It can only be read; use a folder that can be written",
    errno.EACCES: "Let this user read and write it, or use another folder",
    errno.EPERM: "Let this user read and write it, or use another folder",
    errno.EMFILE: "Allow more open files with `ulimit -n`, then the same again",
    errno.ENOENT: "Put it there, or name another one",
    errno.ENOTDIR: "A part of it is a file; name another folder",
    errno.EISDIR: "It is a folder; name a file",
}
# What our messages and tables hold beyond ASCII, for a terminal that cannot show it.
_PLAIN = str.maketrans(
    {"×": "x", "…": "...", "–": "-", "—": "-", "·": "-", "→": "->", "✓": "+", "✗": "x", "█": "#"}
)


def run(command: Callable[[], object], *, program: str, comfort: str) -> NoReturn:
    """Call what imports and runs a program; end the process, with a message where one is due.

    `comfort` is the line that Ctrl-C gets where the command itself has no word for it. An exit code
    that a library made of Ctrl-C or of a closed pipe counts as that, unless raised `from None`,
    which says that it was told.
    """
    status = 0
    try:
        _prepare_streams()
        try:
            command()
        except SystemExit as left:
            if (silent := _untold(left)) is not None:
                raise silent from None
            status = _status(left)
        sys.stdout.flush()  # a full disk behind `>` shows here, or nowhere
    except BaseException as error:  # noqa: BLE001 - this is where nothing is behind it
        # A second Ctrl-C ends what is left of the process at once, without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        status = _tell(error, program=program, comfort=comfort)
    _quiet_streams()
    sys.exit(status)


def _tell(error: BaseException, *, program: str, comfort: str) -> int:
    """Say what ended the program; return the exit code."""
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        _say(f"\n{comfort}")
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError) and error.filename in _CALLED.values():
        return 0  # `… | head` has read what it wants
    _say(f"{program}: {_sentence(error)}")
    return EXIT_FAILED


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        what = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{what}{error.strerror}. {_REMEDIES.get(error.errno, 'Then the same again')}."
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in _OURS:
        return (
            f"{error.name} is not installed in {sys.executable}. `make setup` makes .venv, whose "
            ".venv/bin/python has all that is needed."
        )
    if isinstance(error, MemoryError):
        return "this machine has not enough free memory. End other programs, then the same again."
    return (
        f"a bug of this program: {type(error).__name__} at {_place(error)}. Please report that "
        f"line; {TRACEBACK}=1 before the same command shows how it came to it."
    )


def _place(error: BaseException) -> str:
    """Return the innermost line of our own code that the error passed."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        inside = file.startswith(_ROOT + os.sep) and f"{os.sep}.venv{os.sep}" not in file
        if inside and file != __file__:
            place = f"{file[len(_ROOT) + 1 :]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _untold(left: SystemExit) -> BaseException | None:
    error: BaseException | None = left
    while error is not None:
        if isinstance(error, (KeyboardInterrupt, BrokenPipeError)):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _status(left: SystemExit) -> int:
    if left.code is None or isinstance(left.code, int):
        return left.code or 0
    _say(left.code)
    return EXIT_FAILED


class _Output(io.FileIO):
    """A stream whose write errors say which one it was, whatever library wrote to it."""

    def __init__(self, stream: TextIO, *, called: str) -> None:
        super().__init__(stream.fileno(), "w", closefd=False)
        self.name = stream.name
        self._called = called

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._called
            raise


def _prepare_streams() -> None:
    """Make each stream one that can be written to, in whatever encoding the terminal has."""
    codecs.register_error("trainstack.plain", _plain)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # closed at our start: the next file opened would get its number
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115, PTH123 - for good
            os.set_inheritable(nowhere.fileno(), True)
            setattr(sys, name, nowhere)
        elif name in _CALLED and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _told_apart(stream, called=_CALLED[name]))


def _told_apart(stream: io.TextIOWrapper, *, called: str) -> io.TextIOWrapper:
    stream.flush()
    raw = _Output(stream, called=called)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # pyright: ignore - as Python does
        encoding=stream.encoding,
        errors="trainstack.plain",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end].translate(_PLAIN)
    return part.encode("ascii", "replace").decode("ascii"), error.end


def _quiet_streams() -> None:
    """Turn a stream that cannot be written to nothing: Python flushes once more as it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(line: object) -> None:
    with suppress(OSError):  # where nobody can be told any more, the exit code says it
        print(line, file=sys.stderr, flush=True)
