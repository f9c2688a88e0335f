"""No secret within an address is left in a text, and nothing else is taken out of it."""

from __future__ import annotations

import pytest

from container.contract.redacted import has_secrets, without_secrets

SECRET = "planted"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:planted@host/simple", "https://***@host/simple"),
        ("https://planted@host/simple", "https://***@host/simple"),
        ("https://me:planted%40x@host", "https://***@host"),
        ("https://me:planted@x@host/", "https://***@host/"),
        ("https://me:pla/planted@host/", "https://***@host/"),
        ("https://me:planted#?@host/", "https://***@host/"),
        ("https://me:1planted@host:80/", "https://***@host:80/"),
        ("git+https://planted:x-oauth-basic@github.com/a/b", "git+https://***@github.com/a/b"),
        ("ssh://me:planted@host/a", "ssh://***@host/a"),
        ("socks5h://me:planted@proxy:1080", "socks5h://***@proxy:1080"),
        (r'{"url": "https:\/\/me:planted@host\/a"}', r'{"url": "https:\/\/***@host\/a"}'),
        ("proxy me:planted@proxy:8080 failed", "proxy ***@proxy:8080 failed"),
        ("HTTP_PROXY=me:planted@10.0.0.1:80", "HTTP_PROXY=***@10.0.0.1:80"),
        ("https%3A%2F%2Fme%3Aplanted%40host%2Fa", "https%3A%2F%2F***%40host%2Fa"),
        ("two https://a:planted@h, http://b:planted@i/.", "two https://***@h, http://***@i/."),
        ("https://host/a?token=planted&b=1", "https://host/a?token=***&b=1"),
        ("https://host/a?b=1&X-Amz-Signature=planted", "https://host/a?b=1&X-Amz-Signature=***"),
        ("https://h/?X-Amz-Credential=planted%2F2026", "https://h/?X-Amz-Credential=***"),
        ("https://h/?X-Amz-Security-Token=planted", "https://h/?X-Amz-Security-Token=***"),
        ("https://h/?AWSAccessKeyId=planted", "https://h/?AWSAccessKeyId=***"),
        ("https://h/?sv=1&sig=planted%3D", "https://h/?sv=1&sig=***"),
        ("https://h/?%74oken=planted", "https://h/?%74oken=***"),
        ("https://h/?a=1&amp;api_key=planted", "https://h/?a=1&amp;api_key=***"),
        ("https://h/#access_token=planted", "https://h/#access_token=***"),
        ('"GET /v1/models?token=planted HTTP/1.1"', '"GET /v1/models?token=*** HTTP/1.1"'),
    ],
)
def test_secrets_in_addresses_are_hidden(text: str, shown: str) -> None:
    hidden = without_secrets(text)
    assert SECRET not in hidden
    assert hidden == shown
    assert has_secrets(text)
    assert without_secrets(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no address, a=b, key=value",
        "https://host:8080/a/@scope/b?page=2",
        "https://host/a?author=me",
        "ssh://git@github.com/a/b",
        "git@github.com:a/b.git",
        "127.0.0.1:5000/trainstack/rehearsal@sha256:0123",
        "docker.io/somebody/trainstack:tag@sha256:0123",
        "goes on from base@000120",
        "write to somebody@example.org",
        "see https://example.org:443, then https://example.org/@me",
        "step 00012/00100 | loss: 3.2 | dt: 12ms | tok/sec: 12,000",
    ],
)
def test_a_text_without_secrets_stays_what_it_is(text: str) -> None:
    assert without_secrets(text) == text
