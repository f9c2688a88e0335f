"""A bucket that does not answer as it should: trying again and the doctor are what they promise."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

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
