"""Downloads from a server that misbehaves in each way that HTTP allows, and some that it does not.

Anything that an exchange can raise is tried again; an optional file never ends the run.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from container.nanochat import download, prepare, shards
from container.toy_trainer import dataset
from tests.container.misbehaving_server import (
    BROKEN,
    GOOD,
    OK,
    RESET,
    WHOLE,
    Misbehaving,
    broken,
)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(dataset, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(shards, "TIMEOUT_S", 2)


@pytest.fixture(params=[*BROKEN, RESET])
def fault(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_whatever_an_exchange_raises_is_tried_again(fault: str, tmp_path: Path) -> None:
    """https://github.com/ytdl-org/youtube-dl/issues/3642: IncompleteRead is no OSError."""
    target = tmp_path / "file"
    with broken(fault, times=1) as server:
        download.download(server.url, target, check=prepare._are_conversations)
    assert target.read_bytes() == GOOD
    assert list(tmp_path.iterdir()) == [target]


def test_what_never_works_is_one_clear_error_after_four_attempts(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broken(fault) as server, pytest.raises(download.FetchError) as caught:
        download.download(server.url, tmp_path / "file", check=prepare._are_conversations)
    assert f"{server.url} could not be fetched in 4 attempts; the last one: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out.count("attempt ") == 4
    assert list(tmp_path.iterdir()) == []


def test_an_optional_file_never_ends_the_run(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broken(fault) as server:
        prepare._fetch_if_had(server.url, tmp_path / "identity_conversations.jsonl")
    assert "the model will not know who it is" in capsys.readouterr().out


def test_a_hash_that_cannot_be_read_is_a_hub_that_does_not_answer(fault: str) -> None:
    """The hash is a nicety: an answer that is no HTTP ended the stage."""
    with broken(fault) as server:
        try:
            said = shards.published_sha256(server.url)
        except OSError:
            said = ""
    assert said == ""


def test_the_rehearsals_downloads_say_so_too(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    with broken(fault) as server:
        assert dataset.main(["--mirror", server.url.rstrip("/")]) == 1
        shard = dataset.Shard(name="s", size_bytes=9999, sha256="0" * 64)
        with pytest.raises(dataset.DownloadError, match="5 attempts failed"):
            dataset.fetch(server.url, tmp_path / "s", shard=shard)
    assert "cannot be used" in capsys.readouterr().err


def test_a_server_that_speaks_no_tls_is_tried_again_too(tmp_path: Path) -> None:
    with Misbehaving(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        url = server.url.replace("http", "https")
        with pytest.raises(download.FetchError, match="SSL"):
            download.download(url, tmp_path / "file")


def test_a_line_that_drips_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WITHIN_S", -1.0)
    with Misbehaving(lambda _: WHOLE) as server, pytest.raises(download.FetchError, match="within"):
        download.download(server.url, tmp_path / "file")


def archive(*, whole: bool = True) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as content:
        content.writestr("eval_bundle/core.yaml", "tasks: []")
    return raw.getvalue() if whole else raw.getvalue()[:60]


def test_an_archive_that_does_not_open_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut where no length was told, it ended the stage with BadZipFile."""
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    with Misbehaving(lambda n: OK + b"\r\n" + archive(whole=n > 1)) as server:
        monkeypatch.setattr(prepare, "EVAL_BUNDLE_URL", server.url)
        prepare.eval_bundle()
    assert (tmp_path / "eval_bundle" / "core.yaml").read_text() == "tasks: []"


def test_a_library_may_fail_with_any_class_of_its_own() -> None:
    class LibraryError(Exception):
        pass

    failures = iter([LibraryError("cut"), RuntimeError("xet"), EOFError()])

    def load() -> int:
        for failure in failures:
            raise failure
        return 7

    assert download.again(load, what="GSM8K") == 7


def test_a_preparation_that_never_works_says_so_in_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; from container.nanochat import download, prepare; download.FIRST_PAUSE_S = 0; "
        "prepare.EVAL_BUNDLE_URL = sys.argv[1]; sys.exit(prepare.main(['eval-bundle']))"
    )
    with broken("a chunked answer that ends early") as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.url],
            env={"NANOCHAT_BASE_DIR": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"eval-bundle: {server.url} could not be fetched in 4 attempts")
    assert len(done.stderr.splitlines()) == 1
