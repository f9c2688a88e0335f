"""Shards that are missing, cut or of other content are fetched again; nanochat looks at neither."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from container.nanochat import download, shards

WHOLE = b"PAR1...PAR1"
WANTED = shards.Shards("base_data_climbmix", train=3, validation=6542)
NO_HUB = "http://127.0.0.1:9"  # nothing listens there: no hash is known

# What nanochat's downloader does with the first shard, the first time.
ARRIVES = """
import os, pathlib, sys
folder = pathlib.Path(os.environ["NANOCHAT_BASE_DIR"]) / "base_data_climbmix"
folder.mkdir(exist_ok=True)
calls = folder.parent / "calls"
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
first = len(calls.read_text()) == 1
for number in [*range(int(sys.argv[2])), 6542]:
    shard = folder / f"shard_{number:05d}.parquet"
    if not shard.exists():
        shard.write_bytes(FIRST if first and number == 1 else b"PAR1...PAR1")
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "source"))
    return tmp_path


def nanochat_dataset(base: Path, body: str) -> None:
    """Put a module `nanochat.dataset` where the program would find nanochat's."""
    package = base / "source" / "nanochat"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "dataset.py").write_text(body)


@pytest.fixture
def hub() -> Iterator[str]:
    """Serve as the hub does: a redirect, and the hash of the content in a header."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", NO_HUB)
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(WHOLE).hexdigest()}"')
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def calls(base: Path) -> int:
    return len((base / "calls").read_text())


def test_a_shard_that_arrived_in_part_is_fetched_again(base: Path) -> None:
    nanochat_dataset(base, ARRIVES.replace("FIRST", 'b"PAR1..."'))
    shards.fetch(base, WANTED, workers=2, hub_url=NO_HUB)
    assert calls(base) == 2
    assert not shards.cut_shards(base / WANTED.folder, WANTED.names)


def test_a_shard_of_other_content_than_was_published_is_fetched_again(
    base: Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nanochat_dataset(base, ARRIVES.replace("FIRST", 'b"PAR1.!.PAR1"'))
    shards.fetch(base, WANTED, workers=2, hub_url=hub)
    assert calls(base) == 2
    assert (base / WANTED.folder / "shard_00001.parquet").read_bytes() == WHOLE
    assert "shard_00001.parquet has another content" in capsys.readouterr().out


def test_a_hash_is_compared_where_python_is_3_10_too(
    base: Path, hub: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """hashlib.file_digest came with 3.11; the stage ended with an AttributeError."""
    monkeypatch.delattr(hashlib, "file_digest")
    monkeypatch.setattr(shards, "READ_BYTES", 4)
    nanochat_dataset(base, ARRIVES.replace("FIRST", 'b"PAR1...PAR1"'))
    shards.fetch(base, WANTED, workers=2, hub_url=hub)
    assert "4 shards have their published hash" in capsys.readouterr().out


def test_shards_that_were_checked_are_not_read_again_at_the_next_start(
    base: Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nanochat_dataset(base, ARRIVES.replace("FIRST", 'b"PAR1...PAR1"'))
    shards.fetch(base, WANTED, workers=2, hub_url=hub)
    shards.fetch(base, WANTED, workers=2, hub_url=hub)
    said = capsys.readouterr().out
    assert "4 shards have their published hash, 0 have none" in said
    assert "0 shards have their published hash, 0 have none" in said


def test_a_hash_that_cannot_be_had_does_not_stop_the_run(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nanochat_dataset(base, ARRIVES.replace("FIRST", 'b"PAR1...PAR1"'))
    shards.fetch(base, WANTED, workers=2, hub_url=NO_HUB)
    assert "0 shards have their published hash, 4 have none" in capsys.readouterr().out


def test_without_a_fixed_shard_for_it_the_last_one_validates_and_is_asked_for(base: Path) -> None:
    """FineWeb-Edu's way; ClimbMix has shard 6542 for it, which nanochat adds by itself."""
    text = ARRIVES.replace("base_data_climbmix", "base_data").replace(", 6542]", "]")
    nanochat_dataset(base, text.replace("FIRST", 'b"PAR1...PAR1"'))
    last = shards.Shards("base_data", train=3, validation=None)
    shards.fetch(base, last, workers=2, hub_url=NO_HUB)
    names = [f"shard_0000{number}.parquet" for number in range(4)]
    assert sorted(file.name for file in (base / "base_data").iterdir()) == names == last.names


def test_shards_that_never_arrive_fail_although_nanochat_exits_with_0(base: Path) -> None:
    nanochat_dataset(base, "print('Done! Downloaded: 0/4 shards')")
    with pytest.raises(shards.ShardsError, match="4 of 4 shards did not arrive"):
        shards.fetch(base, WANTED, workers=2, hub_url=NO_HUB)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Path]:
    """Serve a folder; `mirror.url` is written into a file of it."""
    folder = tmp_path / "mirror"
    (folder / WANTED.folder).mkdir(parents=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    (folder / "url").write_text(f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("at_mirror", [4, 2, 0])
def test_shards_come_from_a_mirror_and_what_it_lacks_from_nanochats_own_place(
    base: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, at_mirror: int
) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE_S", 0.0)
    nanochat_dataset(base, ARRIVES.replace("FIRST", 'b"PAR1...PAR1"'))
    for name in WANTED.names[:at_mirror]:
        (mirror / WANTED.folder / name).write_bytes(b"PAR1 of the mirror PAR1")
    url = (mirror / "url").read_text()
    shards.fetch(base, WANTED, workers=1, hub_url=NO_HUB, mirror=url)
    assert not shards.cut_shards(base / WANTED.folder, WANTED.names)
    assert (base / "calls").exists() == (at_mirror < 4)
    for number, name in enumerate(WANTED.names):
        mirrored = b"of the mirror" in (base / WANTED.folder / name).read_bytes()
        assert mirrored == (number < at_mirror)


def test_a_mirrors_shard_of_other_content_than_was_published_is_fetched_from_nanochats_own_place(
    base: Path, hub: str, mirror: Path
) -> None:
    nanochat_dataset(base, ARRIVES.replace("FIRST", 'b"PAR1...PAR1"'))
    for name in WANTED.names:
        content = b"PAR1 other PAR1" if name.endswith("1.parquet") else WHOLE
        (mirror / WANTED.folder / name).write_bytes(content)
    url = (mirror / "url").read_text()
    shards.fetch(base, WANTED, workers=2, hub_url=hub, mirror=url)
    assert (base / WANTED.folder / "shard_00001.parquet").read_bytes() == WHOLE
    assert calls(base) == 1
