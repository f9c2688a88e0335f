"""What the command line says about where to look, and what of it may stand together; asks nobody.

Said twice, or by two options that exclude each other, is refused here and nowhere else; what is
said beats what the environment holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from container.transport.r2 import R2_HOST
from runs.errors import SettingMissingError
from runs.same_place import STACK_VARIABLE
from runs.source.bucket import is_of_ledger

_S3_SCHEMES = ("s3", "r2")
_ACCOUNT = re.compile(r"[0-9a-f]{32}")

Said = Sequence[str] | None
"""What one option was given: each of its values, None without any."""


@dataclass(frozen=True, kw_only=True)
class Selector:
    """What the command line says about where to look.

    `prefix` and `run` are as they were said, but for an address, of which only the path is left.
    """

    stack: str = ""
    bucket: str = ""
    prefix: str = ""
    run: str = ""
    host: str = ""  # of the S3 server, where an address says it
    stack_from_environment: bool = False

    @classmethod
    def from_options(
        cls,
        *,
        stack: Said = None,
        bucket: Said = None,
        prefix: Said = None,
        run: Said = None,
        stack_beside_bucket: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Return what the options say; SettingMissingError names those that exclude each other.

        `stack_beside_bucket` is of a command that asks a stack also when it looks in a bucket.
        """
        named = {"--stack": _one("--stack", stack), "--bucket": _one("--bucket", bucket)}
        which = {"--prefix": _one("--prefix", prefix), "--run": _one("--run", run)}
        refuse_together(which, why="each names a run")
        if not stack_beside_bucket:
            refuse_together(named, why="each says which bucket")
        place = _Address.read(named["--bucket"])
        if place and place.path:
            raise SettingMissingError(
                f"--bucket {named['--bucket']} names more than a bucket.\n"
                f"For what lies in it: --prefix {named['--bucket']}"
            )
        option, said = next(((o, s) for o, s in which.items() if s), ("", ""))
        address = _Address.read(said)
        if address is not None:
            _check_address(option, said, address, named, bucket=place.bucket if place else "")
            place, which = address, {"--prefix": address.path, "--run": ""}
        held = (os.environ if environ is None else environ).get(STACK_VARIABLE, "").strip()
        found = cls(
            stack=named["--stack"] or held,
            bucket=place.bucket if place else named["--bucket"],
            prefix=which["--prefix"],
            run=which["--run"],
            host=place.host if place else "",
            stack_from_environment=bool(held) and not named["--stack"],
        )
        found._check_stack_of_prefix()
        return found

    @property
    def stack_name(self) -> str:
        """The stack's name without its organisation and project, as it stands in prefixes."""
        return self.stack.rpartition("/")[2]

    def contradicts_prefix(self) -> str:
        """Say that `--stack` and `--prefix` mean two runs."""
        return (
            f"--stack {self.stack} and --prefix {self.prefix} contradict each other: no run of "
            "that stack has this prefix.\nLeave one of them out; --bucket says where a prefix is."
        )

    def within(self, said: str, *, bucket: str) -> str:
        """Return a prefix or a run as it was said, without slashes around it and the bucket's name.

        Raises SettingMissingError for the name of something below a run prefix.
        """
        parts = [part for part in said.split("/") if part]
        if parts and is_of_ledger(parts[0]):
            return "/".join(parts)
        if len(parts) > 1 and parts[0] == bucket:
            parts = parts[1:]
        if len(parts) > 1:
            raise SettingMissingError(
                f"{said} is no run prefix, which is one folder of the bucket.\n"
                f"Say --prefix {parts[0]} for all of it."
            )
        return "".join(parts)

    def _check_stack_of_prefix(self) -> None:
        last = self.prefix.strip("/").rpartition("/")[2]
        if self.stack_from_environment or not (self.stack_name and last):
            return
        if not last.startswith(f"{self.stack_name}-"):
            raise SettingMissingError(self.contradicts_prefix())


def refuse_together(given: Mapping[str, object], *, why: str) -> None:
    """Raise SettingMissingError when more than one of these options was given, naming them."""
    said = [
        f"{option} {value}" if isinstance(value, str) else option
        for option, value in given.items()
        if value
    ]
    if len(said) > 1:
        raise SettingMissingError(
            f"{' and '.join(said)} cannot stand together: {why}.\nLeave one of them out."
        )


@dataclass(frozen=True, kw_only=True)
class _Address:
    """A bucket, or something in it, as another program writes its address."""

    host: str
    bucket: str
    path: str

    @classmethod
    def read(cls, said: str) -> Self | None:
        """Read s3://, r2:// and the addresses of R2's API and dashboard; None for a plain name."""
        scheme, marked, _ = said.partition("://")
        if not marked:
            return None
        if scheme.lower() not in (*_S3_SCHEMES, "https", "http"):
            raise SettingMissingError(
                f"{said}: an address of a bucket begins with s3://, r2:// or https://."
            )
        split = urlsplit(said)
        host, parts = split.netloc, [unquote(part) for part in split.path.split("/") if part]
        if scheme.lower() in _S3_SCHEMES:
            host, parts = "", [split.netloc, *parts]
        elif "buckets" in parts[:-1]:  # the dashboard: …/r2/default/buckets/NAME?prefix=…
            below = parse_qs(split.query).get("prefix", [""])[0]
            parts = [p for p in parts[parts.index("buckets") + 1 :] if p != "objects"]
            host, parts = "", [*parts, *(part for part in below.split("/") if part)]
        elif host.endswith(R2_HOST) and not _ACCOUNT.fullmatch(host.partition(".")[0]):
            bucket, _, host = host.partition(".")
            parts = [bucket, *parts]
        if not parts or not parts[0]:
            raise SettingMissingError(f"{said} names no bucket.")
        return cls(host=host, bucket=parts[0], path="/".join(parts[1:]))


def _check_address(
    option: str, said: str, address: _Address, named: Mapping[str, str], *, bucket: str
) -> None:
    if not address.path:
        raise SettingMissingError(
            f"{option} {said} names a bucket and no run in it.\nSay --bucket {address.bucket}, or "
            "add the run's prefix."
        )
    other = bucket or named["--bucket"]
    if other and other != address.bucket:
        raise SettingMissingError(
            f"--bucket {named['--bucket']} and {option} {said} contradict each other: two buckets."
            "\nLeave one of them out."
        )
    if named["--stack"]:
        raise SettingMissingError(
            f"--stack {named['--stack']} and {option} {said} cannot stand together: each says "
            f"which bucket.\nLeave --stack out; or for the stack's own bucket say "
            f"{option} {address.path}"
        )


def _one(option: str, said: Said) -> str:
    """Return an option's one value; an empty one is a shell's variable that is not set."""
    values = [value.strip() for value in said or ()]
    if "" in values:
        raise SettingMissingError(f"{option} is empty.\nGive it a value, or leave it out.")
    different = list(dict.fromkeys(values))
    if len(different) > 1:
        raise SettingMissingError(
            f"{' and '.join(f'{option} {value}' for value in different)} cannot stand together: "
            f"{option} takes one value.\nLeave one of them out."
        )
    return different[0] if different else ""
