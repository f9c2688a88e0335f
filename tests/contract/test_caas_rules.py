"""Names, capacity, prices and keys of the CaaS stand-in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.caas_place import (
    API_KEY,
    ENTERPRISE,
    PUBLIC,
    UNKNOWN_ID,
    CaasPlace,
    deploy_body,
)


def price(caas: CaasPlace, **changes: Any) -> Any:
    params = {
        "location_ids": "[2]",
        "hardware_id": "12",
        "duration_hours": 1,
        "gpus_per_container": 1,
        "replica_count": 1,
    }
    return caas.call("GET", "price", params={**params, **changes})


def name_is_free(caas: CaasPlace, name: str) -> bool:
    path = "clusters/check_cluster_name_availability"
    return caas.call("GET", path, params={"cluster_name": name}).json()


def test_a_name_is_taken_while_its_deployment_lives(caas: CaasPlace) -> None:
    deployment_id = caas.deploy("train-1")
    assert name_is_free(caas, "train-1") is False
    refused = caas.call("POST", "deploy", json=deploy_body("train-1"))
    assert (refused.status_code, refused.json()) == (
        400,
        {"detail": "Cluster name is already taken"},
    )
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    assert name_is_free(caas, "train-1") is True
    caas.deploy("train-1")


def test_of_deploys_at_the_same_time_one_gets_the_name_and_the_last_node(caas: CaasPlace) -> None:
    node = {"hardware_id": "8H100.80S.176V", "location_ids": ["US"], "gpus_per_container": 8}
    for bodies in ([deploy_body("same")] * 8, [deploy_body(f"{n}", **node) for n in range(8)]):
        with ThreadPoolExecutor(len(bodies)) as callers:
            answers = list(callers.map(lambda body: caas.call("POST", "deploy", json=body), bodies))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


def test_sixty_four_deployments_run_side_by_side(caas: CaasPlace) -> None:
    ids = [caas.deploy(f"run-{number}") for number in range(64)]
    for deployment_id in ids:
        caas.until(deployment_id, "running")
    assert len({caas.workers(deployment_id)[0]["public_url"] for deployment_id in ids}) == 64


def test_a_rename_shows_in_the_list_and_may_not_take_another_name(caas: CaasPlace) -> None:
    deployment_id = caas.deploy("one")
    caas.deploy("two")
    path = f"clusters/{deployment_id}/update-name"
    assert caas.call("PUT", path, json={"cluster_name": "two"}).status_code == 400
    assert caas.call("PUT", path, json={"cluster_name": "three"}).json()["status"] == "success"
    rows = caas.call("GET", "deployments").json()["data"]["deployments"]
    assert {row["name"] for row in rows} == {"two", "three"}
    assert "name" not in caas.details(deployment_id)


def test_the_list_is_paged_and_filtered_by_status_newest_first(caas: CaasPlace) -> None:
    ids = [caas.deploy(f"run-{number}") for number in range(3)]
    for deployment_id in ids:
        caas.until(deployment_id, "running")
    caas.call("DELETE", f"deployment/{ids[0]}")
    caas.until(ids[0], "destroyed")

    def listed(**params: Any) -> tuple[list[str], int]:
        data = caas.call("GET", "deployments", params=params).json()["data"]
        return [row["id"] for row in data["deployments"]], data["total"]

    assert listed() == (ids[::-1], 3)
    assert listed(page=0, page_size=2) == listed(page=1, page_size=2) == ([ids[2], ids[1]], 3)
    assert listed(page=2, page_size=2) == ([ids[0]], 3)
    assert listed(status="destroyed") == ([ids[0]], 1)
    assert listed(status="running", sort_order="asc") == ([ids[1], ids[2]], 2)


def test_capacity_is_counted_and_comes_back(caas: CaasPlace) -> None:
    node = {"hardware_id": "8H100.80S.176V", "location_ids": ["US"], "gpus_per_container": 8}
    first = caas.deploy("one", **node)
    sold_out = {
        row["location"]: row["sold_out"]
        for row in caas.call("GET", f"{PUBLIC}/hardware", key="").json()["data"]["hardware"]
        if row["deploy_id"] == "8H100.80S.176V"
    }
    assert sold_out == {"FI": False, "US": True}
    refused = caas.call("POST", "deploy", json=deploy_body("two", **node))
    assert refused.status_code == 400
    assert isinstance(refused.json()["detail"], str)
    caas.call("DELETE", f"deployment/{first}")
    caas.until(first, "destroyed")
    caas.deploy("two", **node)


def test_several_containers_spread_over_the_locations_asked_for(caas: CaasPlace) -> None:
    deployment_id = caas.deploy(
        hardware_id="8H100.80S.176V",
        location_ids=["US", "FI"],
        gpus_per_container=8,
        replica_count=3,
    )
    details = caas.until(deployment_id, "running")
    assert [place["iso2"] for place in details["locations"]] == ["US", "FI"]
    assert (details["total_gpus"], details["total_containers"]) == (24, 3)
    assert len(caas.workers(deployment_id)) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware_id": 999},
        {"location_ids": [7]},
        {"location_ids": ["US"]},
        {"gpus_per_container": 2},
        {"hardware_id": "8H100.80S.176V", "location_ids": [2], "gpus_per_container": 8},
        {"hardware_id": "8H100.80S.176V", "location_ids": ["FI"], "gpus_per_container": 4},
        {"hardware_id": "gpu_1x_a6000", "location_ids": ["US"]},
        {"replica_count": 65},
        {"duration_hours": 10**30},
        {"image_url": "123.dkr.ecr.us-east-1.amazonaws.com/train:1"},
    ],
    ids=str,
)
def test_what_cannot_be_rented_is_refused_with_a_text(
    caas: CaasPlace, changes: dict[str, Any]
) -> None:
    answer = caas.call("POST", "deploy", json=deploy_body(**changes))
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


def test_the_price_is_for_whole_hours_with_both_fees(caas: CaasPlace) -> None:
    found = price(caas, duration_hours=5).json()["data"]
    assert found["total_cost_usdc"] == pytest.approx(0.40 * 5 * 1.0225)
    assert found["available_replica_count"] == [64]
    node = price(
        caas,
        hardware_id="8H100.80S.176V",
        location_ids="FI",
        duration_hours=5,
        gpus_per_container=8,
    ).json()["data"]
    assert node["total_cost_usdc"] == pytest.approx(27.875342465753423 * 5 * 1.0225)
    assert node["available_replica_count"] == [3]
    assert price(caas, location_ids='["US"]', hardware_id="gpu_1x_l40").status_code == 200


def test_the_price_is_what_a_deployment_pays(caas: CaasPlace) -> None:
    quoted = price(caas, duration_hours=3).json()["data"]["total_cost_usdc"]
    deployment_id = caas.deploy(duration_hours=3)
    assert caas.details(deployment_id)["amount_paid"] == pytest.approx(quoted)


@pytest.mark.parametrize("location_ids", ["[", "[]", "2", "[true]", "[1.5]", "{}"])
def test_locations_of_a_price_are_a_json_array_in_a_string(
    caas: CaasPlace, location_ids: str
) -> None:
    answer = price(caas, location_ids=location_ids)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "location_ids"]


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_bad_key_is_refused_before_anything_else(caas: CaasPlace, key: str) -> None:
    for method, path in (
        ("POST", f"{ENTERPRISE}/deploy"),
        ("GET", f"{ENTERPRISE}/deployment/{UNKNOWN_ID}"),
        ("GET", f"{PUBLIC}/locations"),
        ("GET", "/_local/behaviours"),
    ):
        answer = caas.call(method, path, key=key)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API key"})
    assert caas.call("GET", f"{PUBLIC}/hardware", key=key).status_code == 200
    assert caas.call("GET", "/_local/health", key=key).status_code == 200


def test_a_made_key_works_until_it_expires(caas: CaasPlace) -> None:
    expires_at = caas.time().replace(microsecond=0)
    caas.time.advance(hours=-1)
    body = {
        "description": "ci",
        "expires_at": expires_at.isoformat(),
        "project": "io-cloud",
        "scopes": ["all"],
    }
    made = caas.call("POST", "/v1/api-keys/", json=body, token=API_KEY).json()
    assert caas.call("GET", "deployments", key=made["api_key"]).status_code == 200
    caas.time.advance(hours=2)
    assert caas.call("GET", "deployments", key=made["api_key"]).status_code == 401
    assert made["api_key"].encode() not in caas.database.read_bytes()


def test_unknown_ids_are_404_and_malformed_ones_422(caas: CaasPlace) -> None:
    unknown = caas.call("GET", f"deployment/{UNKNOWN_ID}")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Deployment not found"})
    assert caas.call("GET", "deployment/not-a-uuid").status_code == 422
    deployment_id = caas.deploy()
    for path in ("container/none", "containers-jobs/none", "log/none"):
        assert caas.call("GET", f"deployment/{deployment_id}/{path}").status_code == 404
