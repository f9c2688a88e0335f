"""What can keep `runs` from answering: one class per decision of the caller, and all exit codes."""

from __future__ import annotations

from container.contract.redacted import RedactedError

EXIT_OK = 0  # asked and answered; of `watch`: every run succeeded
EXIT_FAILED = 1  # of `watch`: a run failed; of `pull`, `doctor`: a copy or a check failed
EXIT_USAGE = 2  # a word on the command line, or a setting, is missing or wrong
EXIT_STOPPED = 3  # of `watch`: a run was stopped before its end
EXIT_GONE = 4  # of `watch`: no sign of life from a machine for too long
EXIT_UNREACHABLE = 5  # bucket, Cloudflare or the machine did not answer, or refused the key
EXIT_INTERRUPTED = 130  # Ctrl-C


class RunsError(RedactedError):
    """Base: the message says what failed, why as far as known, and what to do."""

    exit_code = EXIT_FAILED


class SettingMissingError(RunsError):
    """The command does not know where to look, or with which key."""

    exit_code = EXIT_USAGE


class NoSuchRunError(RunsError):
    """The bucket answers, and holds no such run or record."""

    exit_code = EXIT_USAGE


class UnreadableError(RunsError):
    """A record is there and cannot be read: damaged, or written by a newer program."""


class UnreachableError(RunsError):
    """No answer; whether the thing exists is not known."""

    exit_code = EXIT_UNREACHABLE


class AccessRefusedError(RunsError):
    """An answer: this key may not."""

    exit_code = EXIT_UNREACHABLE
