"""The client of io.net: what counts as no, what as unclear, and that no key is in a message."""

from __future__ import annotations

from typing import Any

import pytest

from components.ionet.client import Client
from components.ionet.errors import (
    KeyRefusedError,
    NotFoundError,
    RequestRefusedError,
    UnclearError,
)
from components.ionet.models import DeployRequest
from tests.unit.components.vendor_double import Vendor

KEY = "io-v2-planted-key"
ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def client(vendor: Vendor) -> Client:
    return Client(KEY, base_url=vendor.url, retry_for_s=0)


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (401, {"detail": "no"}, KeyRefusedError),
        (403, {"detail": "no"}, KeyRefusedError),
        (403, b"<html>blocked</html>", KeyRefusedError),
        (400, {"key_set": True}, KeyRefusedError),
        (400, {"detail": "Invalid API key provided!"}, KeyRefusedError),
        (400, {"message": "Invalid API key provided!"}, KeyRefusedError),
        (400, {"error": {"message": "invalid api-key"}}, KeyRefusedError),
        (400, {"error": "The API key you provided has expired"}, KeyRefusedError),
        (400, b"Invalid API key provided!", KeyRefusedError),
        (404, {"detail": "API key not found"}, KeyRefusedError),
        (
            422,
            {"detail": [{"loc": ["header", "x-api-key"], "msg": "Field required"}]},
            KeyRefusedError,
        ),
        (402, {"detail": "not enough credits for this API key"}, RequestRefusedError),
        (
            422,
            {"detail": [{"loc": ["body", "WANDB_API_KEY"], "msg": "invalid"}]},
            RequestRefusedError,
        ),
        (429, {"detail": "invalid API key rate"}, UnclearError),
        (500, {"detail": "Invalid API key provided!"}, UnclearError),
        (404, {"detail": "Deployment not found"}, NotFoundError),
        (400, {"detail": "Resource not found"}, NotFoundError),
        (404, b"<html>no such page</html>", UnclearError),
        (400, {"detail": "no capacity"}, RequestRefusedError),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "bad", "type": "t"}]}, RequestRefusedError),
        (400, b"<html>", UnclearError),
        (429, {"detail": "slow down"}, UnclearError),
        (500, {"detail": "oops"}, UnclearError),
        (302, b"", UnclearError),
        (200, b"<html>maintenance</html>", UnclearError),
        (200, {"data": {"id": 5}}, UnclearError),
    ],
)
def test_each_answer_leads_to_one_decision(
    client: Client, vendor: Vendor, status: int, answer: Any, error: type[Exception]
) -> None:
    vendor.will(status, answer)
    with pytest.raises(error) as failed:
        client.deployment(ID)
    assert type(failed.value) is error
    assert KEY not in str(failed.value)
    assert "planted" not in repr(failed.value)


def test_no_connection_is_unclear_and_shows_no_address() -> None:
    with pytest.raises(UnclearError) as failed:
        Client(KEY, base_url="http://127.0.0.1:9", retry_for_s=0).deployment(ID)
    assert "127.0.0.1:9" not in str(failed.value)


def test_reading_and_deleting_are_tried_again_and_renting_is_not(vendor: Vendor) -> None:
    client = Client(KEY, base_url=vendor.url, retry_for_s=30)
    vendor.will(502, b"")
    vendor.will(200, {"status": "ok", "deployment_id": ID})
    client.delete(ID)
    assert len(vendor.calls) == 2
    vendor.answers.clear()
    vendor.will(502, b"")
    with pytest.raises(UnclearError):
        client.extend(ID, hours=1)
    assert len(vendor.calls) == 3


def test_a_redirect_is_no_yes_to_an_extension(client: Client, vendor: Vendor) -> None:
    vendor.will(302, b"")
    with pytest.raises(UnclearError):
        client.extend(ID, hours=1)


def rows(*names: str, **more: Any) -> dict[str, Any]:
    found = [{"id": f"id-{name}", "name": name, "status": "running"} for name in names]
    return {"data": {"deployments": found, **more}}


@pytest.mark.parametrize(
    "pages",
    [
        [rows("a", "b", total=2)],
        [rows("a"), rows("b"), rows(), rows("a")],  # no total; the first page is 1
        [rows(), rows("a", "b")],  # no total; the first page is 0, and all is on it
        [rows(total=0), rows("a", "b", total=0)],
        [rows("b", total=2), rows(total=2), rows("a", total=2)],  # the first page is 0
    ],
    ids=["total", "no total", "no total, from 0", "total of 0", "total, from 0"],
)
def test_no_deployment_is_missed_wherever_the_vendor_counts_pages_from(
    client: Client, vendor: Vendor, pages: list[dict[str, Any]]
) -> None:
    """A machine that is not seen in the list is rented a second time, or forgotten."""
    for page in pages:
        vendor.will(200, page)
    assert sorted(row.name for row in client.deployments()) == ["a", "b"]


@pytest.mark.parametrize("answer", [{"data": []}, {"data": None}, {"data": "no"}])
def test_an_answer_of_another_shape_is_unclear(
    client: Client, vendor: Vendor, answer: dict[str, Any]
) -> None:
    vendor.will(200, answer)
    for ask in (client.deployments, lambda: client.workers(ID), lambda: client.deployment(ID)):
        with pytest.raises(UnclearError, match="unknown shape"):
            ask()


def test_an_update_sends_every_member_at_the_top_level_once(vendor: Vendor) -> None:
    """A member under `container_config` is refused; what one that is left out does nobody says."""
    request = DeployRequest(
        private_name="n",
        duration_hours=3,
        gpus_per_container=8,
        hardware_id=1,
        location_ids=(2,),
        image="r/i@sha256:1",
        entrypoint=("/bin/bash", "-c", "echo $X"),
        traffic_port=8000,
        env={"A": "1"},
        secret_env={"S": "planted"},
        registry_username="puller",
        registry_secret="planted-too",
    )
    client = Client(KEY, base_url=vendor.url, retry_for_s=30)
    vendor.will(200, {"status": "UPDATE REQUESTED", "deployment_id": ID})
    client.update(ID, request)
    vendor.answers.clear()
    vendor.will(502, b"")
    with pytest.raises(UnclearError):
        client.update(ID, request)
    assert len(vendor.calls) == 2
    assert request.to_update_json() == {
        "image_url": "r/i@sha256:1",
        "registry_username": "puller",
        "registry_secret": "planted-too",
        "entrypoint": ["/bin/bash", "-c", "echo $$X"],
        "args": [],
        "command": "",
        "traffic_port": 8000,
        "env_variables": {"A": "1"},
        "secret_env_variables": {"S": "planted"},
    }
