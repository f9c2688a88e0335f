"""Where this machine gets Debian packages from, said for Debian 12.

Read from /etc/apt at run time and never written into a tracked file.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

APT = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN_SUITES = frozenset(
    {"buster", "bullseye", "bookworm", "trixie", "forky", "sid"}
    | {"oldstable", "stable", "testing", "unstable"}
)
_ONE_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)")


@dataclass(frozen=True)
class Source:
    """One archive: its address, its suite and components as this machine names them."""

    uri: str
    suite: str
    components: tuple[str, ...]


def bookworm_sources(apt: Path = APT) -> str:
    """Return Debian 12's sources in deb822 format, from the mirrors that this machine uses.

    "" on a machine that is no Debian, or names none: mmdebstrap knows Debian's public ones.
    """
    debian = [source for source in _sources(apt) if _is_debian(source)]
    plain = [source for source in debian if not source.suite.endswith(("-security", "/updates"))]
    if not plain:
        return ""
    fixes = [source for source in debian if source.suite.endswith(("-security", "/updates"))]
    signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""
    paragraphs = [(plain[0].uri, "bookworm bookworm-updates")]
    # A mirror of the archive alone is common: then security fixes come with the point releases.
    if fixes:
        paragraphs.append((fixes[0].uri, "bookworm-security"))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\n{signed}"
        for uri, suites in paragraphs
    )


def proxy_options() -> list[str]:
    """Return this machine's apt proxy settings as apt.conf lines."""
    if shutil.which("apt-config") is None:
        return []
    names = ["Acquire::http::Proxy", "Acquire::https::Proxy"]
    dump = subprocess.run(
        ["apt-config", "dump", "--format", '%F "%v";%n', *names],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = dump.stdout.splitlines() if dump.returncode == 0 else []
    return [line for line in lines if "Proxy" in line and '""' not in line]


def _sources(apt: Path) -> list[Source]:
    sources: list[Source] = []
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            for line in path.read_text().splitlines():
                match = _ONE_LINE.fullmatch(line.strip())
                if match:
                    sources.append(Source(match[1], match[2], tuple(match[3].split())))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        sources += _deb822(path.read_text())
    return sources


def _deb822(text: str) -> list[Source]:
    sources: list[Source] = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            name.strip().lower(): value.split()
            for name, _, value in (line.partition(":") for line in paragraph.splitlines())
            if value
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        sources += [
            Source(uri, suite, tuple(fields.get("components", [])))
            for uri in fields.get("uris", [])
            for suite in fields.get("suites", [])
        ]
    return sources


def _is_debian(source: Source) -> bool:
    codename = re.split(r"[-/]", source.suite)[0]
    return codename in DEBIAN_SUITES and "main" in source.components
