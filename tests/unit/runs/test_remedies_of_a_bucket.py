"""A bucket that does not answer as it should: trying again and the doctor are what they promise."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from components.r2.cloudflare import Client
from runs.errors import UnreachableError
from runs.source.token_check import verified_id
from tests.runs_builders import status, verdict
from tests.unit.components.vendor_double import Vendor
from tests.unit.runs.in_memory_bucket import InMemoryBucket
from tests.unit.runs.test_remedies import MAIN, run
from tests.unit.runs.typed import typed

NOBODY = "http://127.0.0.1:9"
ENVIRON = {
    "REGISTRY_SERVER": "127.0.0.1:9",
    "IONET_BASE_URL": NOBODY,
    "CLOUDFLARE_BASE_URL": NOBODY,
}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionClosedError(endpoint_url=NOBODY), "Try again"),
        (ClientError({"Error": {"Code": "Odd"}}, "ListObjectsV2"), "the server answered Odd"),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "ListObjectsV2"), "refused the key"),
    ],
    ids=["an answer that is cut", "a fault of the server", "a key that is refused"],
)
def test_the_doctor_that_is_named_tells_of_the_bucket_and_the_same_again_does_when_it_is_well(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(*_: object, **__: object) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(InMemoryBucket, "list_objects_v2", fails)
        refused = typed(run(), "status", *MAIN)
        assert (refused.code, said in refused.err) == (5, True)
        (command,) = re.findall(r"python -m runs ([^`]+)", refused.err)
        examined = typed(run(), *shlex.split(command), environ=ENVIRON)
    (line,) = [line for line in examined.out.splitlines() if re.match(r"\S+ +\w+ +bucket", line)]
    assert " ok " not in line
    assert typed(run(), "status", *MAIN).code == 0
    (line,) = [
        line
        for line in typed(run(), *shlex.split(command), environ=ENVIRON).out.splitlines()
        if re.match(r"\S+ +\w+ +bucket", line)
    ]
    assert " ok " in line


def test_an_address_where_nobody_is_gives_way_to_one_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `python -m localcloud start` starts is tests/e2e/test_printed_steps.py's."""

    def nobody(*_: object, **__: object) -> Any:
        raise EndpointConnectionError(endpoint_url=NOBODY)

    with monkeypatch.context() as patched:
        patched.setattr(InMemoryBucket, "list_objects_v2", nobody)
        refused = typed(run(), "status", *MAIN)
    assert "python -m localcloud start" in refused.err
    (variable,) = re.findall(r"and (R2_\w+) or the account id", refused.err)
    assert typed(run(), "status", *MAIN, environ={variable: "http://127.0.0.1:10"}).code == 0


PREFIX = "dev-main-0a1b2c3d-deadbeef"
ASK = ("status", "--bucket", "b", "--prefix", PREFIX)


def test_a_record_that_was_damaged_is_read_once_it_is_whole() -> None:
    damaged = typed({f"{PREFIX}/status.json": b"{"}, *ASK)
    assert "It is damaged, or a newer trainstack wrote it" in damaged.out + damaged.err
    whole = typed({f"{PREFIX}/status.json": status().to_json()}, *ASK)
    assert whole.code == 0, whole.err


@pytest.mark.parametrize("status_code", [500, 503])
def test_a_cloudflare_that_is_busy_is_asked_again(status_code: int) -> None:
    vendor = Vendor()
    try:
        vendor.will(status_code, {})
        vendor.will(200, {"success": True, "result": {"id": "f" * 32, "status": "active"}})
        client = Client("a-token", account_id="", base_url=vendor.url, retry_for_s=0)
        with pytest.raises(UnreachableError, match="Try again in a minute"):
            verified_id(client, url=vendor.url, account="")
        assert verified_id(client, url=vendor.url, account="") == "f" * 32
    finally:
        vendor.stop()


def test_a_deletion_that_was_interrupted_goes_on_with_the_same_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = {f"{PREFIX}/verdict.json": verdict().to_json(), f"{PREFIX}/log": b"x"}
    kept = InMemoryBucket(objects)
    delete = InMemoryBucket.delete_objects

    def ctrl_c(*_: object, **__: object) -> None:
        monkeypatch.setattr(InMemoryBucket, "delete_objects", delete)
        raise KeyboardInterrupt

    monkeypatch.setattr(InMemoryBucket, "delete_objects", ctrl_c)
    words = ("rm", "--bucket", "b", "--prefix", PREFIX, "--yes")
    broken_off = typed(kept.objects, *words)
    assert (broken_off.code, "the same again goes on" in broken_off.err) == (130, True)
    again = typed(kept.objects, *words)
    assert again.code == 0, again.err
