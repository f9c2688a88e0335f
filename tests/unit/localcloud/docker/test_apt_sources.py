"""The rehearsal's Debian comes from the mirrors that this machine uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.docker.apt_sources import bookworm_sources

MIRROR = "http://mirror.example/debian"
SECURITY = "http://mirror.example/debian-security"
DEB822 = f"""\
# the archive
Types: deb deb-src
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main contrib

Types: deb
URIs: {SECURITY}
Suites: bookworm-security
Components: main
"""
ONE_LINE = f"""\
# deb http://commented.example/debian bookworm main
deb [signed-by=/usr/share/keyrings/x.gpg] {MIRROR} bookworm main non-free
deb {SECURITY} bookworm-security main
"""
FOREIGN = "deb https://packages.example/apt cloud-sdk-bookworm main\n"


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "content"),
    [("sources.list.d/debian.sources", DEB822), ("sources.list", ONE_LINE)],
)
def test_both_formats_name_the_mirror(apt: Path, path: str, content: str) -> None:
    (apt / path).write_text(content)
    assert _uris(apt) == [MIRROR, SECURITY]


def test_sources_that_are_not_debians_are_left_out(apt: Path) -> None:
    (apt / "sources.list.d/other.list").write_text(FOREIGN)
    (apt / "sources.list").write_text(ONE_LINE)
    assert _uris(apt) == [MIRROR, SECURITY]


def test_another_release_of_debian_gives_its_mirror_for_debian_12(apt: Path) -> None:
    (apt / "sources.list").write_text(ONE_LINE.replace("bookworm", "trixie"))
    assert _uris(apt) == [MIRROR, SECURITY]
    assert "Suites: bookworm bookworm-updates" in bookworm_sources(apt)


def test_a_machine_without_security_sources_is_given_none(apt: Path) -> None:
    (apt / "sources.list").write_text(f"deb {MIRROR} bookworm main\n")
    assert _uris(apt) == [MIRROR]


def test_a_disabled_source_does_not_count(apt: Path) -> None:
    (apt / "sources.list.d/debian.sources").write_text(
        DEB822.replace("Types: deb deb-src", "Enabled: no\nTypes: deb")
    )
    assert MIRROR not in _uris(apt)


def test_a_machine_that_is_no_debian_leaves_the_archive_to_mmdebstrap(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://archive.example/ubuntu noble main universe\n")
    assert bookworm_sources(apt) == ""


def _uris(apt: Path) -> list[str]:
    lines = bookworm_sources(apt).splitlines()
    return [line.removeprefix("URIs: ") for line in lines if line.startswith("URIs: ")]
