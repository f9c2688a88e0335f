"""Our own server of a nanochat model, for the commits that have none; real HTTP, a small engine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from container.nanochat.chat import BadRequestError, Server, Speaker, checked, pieces, until
from tests import ROOT

SPECIAL = {
    "<|bos|>": 256,
    "<|user_start|>": 257,
    "<|user_end|>": 258,
    "<|assistant_start|>": 259,
    "<|assistant_end|>": 260,
}


class Bytes:
    """A tokenizer whose tokens are bytes."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_special(self, text: str) -> int:
        return SPECIAL[text]

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")

    def get_bos_token_id(self) -> int:
        return SPECIAL["<|bos|>"]


class Engine:
    """Answers with what it was prompted with, its special tokens in square brackets."""

    def generate(
        self, tokens: list[int], *, num_samples: int, max_tokens: int, **_: Any
    ) -> Iterator[tuple[list[int], list[int]]]:
        names = {number: f"[{name[2:-2]}]" for name, number in SPECIAL.items()}
        text = "".join(names.get(one, chr(one)) for one in tokens)
        for one in [*text.encode()[:max_tokens], SPECIAL["<|assistant_end|>"], ord("!")]:
            yield [one], [1]


@pytest.fixture
def address() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Speaker(Engine(), Bytes()))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def ask(address: str, **members: Any) -> list[dict[str, Any]]:
    answer = requests.post(f"{address}/chat/completions", json=members, timeout=10)
    assert answer.headers["Content-Type"] == "text/event-stream"
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line]


def test_the_whole_conversation_is_put_before_the_model_and_its_answer_streamed(
    address: str,
) -> None:
    assert requests.get(f"{address}/health", timeout=10).json()["ready"] is True
    turns = [("user", "hi"), ("assistant", "hello"), ("user", "so")]
    events = ask(address, messages=[{"role": role, "content": text} for role, text in turns])
    assert events[-1] == {"done": True, "finish_reason": "stop"}
    assert "".join(event.get("token", "") for event in events) == (
        "[bos][user_start]hi[user_end][assistant_start]hello[assistant_end]"
        "[user_start]so[user_end][assistant_start]"
    )


def test_an_answer_is_no_longer_than_was_asked_for(address: str) -> None:
    events = ask(address, messages=[{"role": "user", "content": "hi"}], max_tokens=3)
    assert "".join(event.get("token", "") for event in events) == "[bo"
    assert events[-1]["finish_reason"] == "length"


def test_a_client_without_chunks_gets_the_answer_up_to_the_end_of_the_connection(
    address: str,
) -> None:
    body = b'{"messages": [{"role": "user", "content": "hi"}]}'
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as one:
        one.sendall(b"POST /chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body))
        one.sendall(body)
        head, _, answer = b"".join(iter(lambda: one.recv(4096), b"")).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert answer.startswith(b'data: {"token": "["}\n\n')
    assert answer.endswith(b'data: {"done": true, "finish_reason": "stop"}\n\n')


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "no JSON"),
        (b"[]", "messages"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": [{"role": "robot", "content": ""}]}', "role"),
        (b'{"messages": [{"role": "user", "content": 1}]}', "content"),
        (b'{"messages": [{"role": "user", "content": ""}], "top_k": "x"}', "top_k|literal"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(body: bytes, named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        checked(body)


def test_a_bad_request_is_answered_with_400_and_not_with_a_broken_stream(address: str) -> None:
    answer = requests.post(f"{address}/chat/completions", data=b"{", timeout=10)
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is no JSON")


def test_a_character_of_several_tokens_comes_out_whole() -> None:
    decode = Bytes().decode
    assert list(pieces("aé漢".encode(), decode)) == ["a", "é", "漢"]
    assert list(pieces("a漢".encode()[:-1], decode)) == ["a", "\ufffd"]


def test_what_follows_the_end_of_the_answer_is_not_shown() -> None:
    assert list(until([1, 2, 260, 3], (260, 256))) == [1, 2]


def test_where_nanochat_has_a_server_of_its_own_that_one_is_started(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "chat_web.py").write_text("import sys; print(sys.argv[1:])")
    done = subprocess.run(
        [sys.executable, "-m", "container.nanochat.chat", "-i", "sft", "-p", "1"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['-i', 'sft', '-p', '1']"
