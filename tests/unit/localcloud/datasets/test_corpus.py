"""The rehearsal's data set: real text, complete, and the same bytes every time."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from localcloud.datasets.corpus import SHARDS, build_corpus
from localcloud.datasets.mirror import create_app


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_corpus(tmp_path_factory.mktemp("corpus") / "mirror")


def test_the_manifest_names_every_shard_with_its_size_and_hash(corpus: Path) -> None:
    shards = _manifest(corpus)
    assert len(shards) == SHARDS
    for shard in shards:
        content = (corpus / shard["name"]).read_bytes()
        assert len(content) == shard["size_bytes"]
        assert sha256(content).hexdigest() == shard["sha256"]
        assert len(gzip.decompress(content).splitlines()) == shard["documents"] > 100


def test_the_text_is_english_of_a_few_megabytes(corpus: Path) -> None:
    texts = [
        json.loads(line)["text"]
        for shard in _manifest(corpus)
        for line in gzip.decompress((corpus / shard["name"]).read_bytes()).splitlines()
    ]
    assert 1.8e6 < sum(len(text) for text in texts) < 5e6
    assert sum(text.count(" the ") for text in texts) > 10_000
    assert len(set(texts)) == len(texts)


def test_a_second_build_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    again = build_corpus(tmp_path / "mirror")
    assert _hashes(again) == _hashes(corpus)


def test_what_is_there_is_not_built_again(corpus: Path) -> None:
    before = (corpus / "manifest.json").stat().st_mtime_ns
    build_corpus(corpus)
    assert (corpus / "manifest.json").stat().st_mtime_ns == before


def test_conversations_are_a_question_and_its_answer(corpus: Path) -> None:
    lines = (corpus / "conversations.jsonl").read_text().splitlines()
    assert len(lines) > 1000
    for line in lines:
        turns = json.loads(line)
        assert [turn["role"] for turn in turns] == ["user", "assistant"]
        assert all(turn["content"] for turn in turns)


def test_the_mirror_serves_a_range_of_a_shard(corpus: Path) -> None:
    client = TestClient(create_app(corpus))
    name = _manifest(corpus)[0]["name"]
    reply = client.get(f"/{name}", headers={"Range": "bytes=10-19"})
    assert reply.status_code == 206
    assert reply.content == (corpus / name).read_bytes()[10:20]
    assert client.get("/manifest.json").json()["shards"] == _manifest(corpus)
    assert client.get("/no-such-shard").status_code == 404


def _manifest(corpus: Path) -> list[dict[str, Any]]:
    shards: list[dict[str, Any]] = json.loads((corpus / "manifest.json").read_text())["shards"]
    return shards


def _hashes(corpus: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in corpus.iterdir()}
