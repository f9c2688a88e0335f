"""The CaaS stand-in answers every path of the OpenAPI file as that file says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    positive_data_acceptance,
    unsupported_method,
)

from tests.contract.caas_place import API_KEY, ENTERPRISE, CaasPlace, deploy_body
from tests.contract.in_memory_runtime import InMemoryRuntime

OPENAPI_FILE = Path(__file__).with_name("ionet-caas.openapi.yaml")
SCHEMA = schemathesis.openapi.from_dict(yaml.safe_load(OPENAPI_FILE.read_text()))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaasPlace]:
    runtime = InMemoryRuntime()
    place = CaasPlace(tmp_path_factory.mktemp("caas"), runtime)
    yield place
    place.stop()


@SCHEMA.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,  # what fails once fails always
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_every_answer_is_one_that_the_openapi_file_allows(
    case: schemathesis.Case, running: CaasPlace
) -> None:
    tries_headers = case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER)
    case.call_and_validate(
        base_url=running.url,
        headers=None if tries_headers else {"x-api-key": API_KEY, "token": API_KEY},
        # Valid requests for unknown hardware or ended deployments are refused with 400; HEAD and
        # the like are not part of the contract.
        excluded_checks=[positive_data_acceptance, unsupported_method, allow_header_conformance],
        timeout=20,
    )


def test_answers_about_a_live_deployment_are_those_of_the_openapi_file(caas: CaasPlace) -> None:
    """Generated ids are unknown ones; here every path meets a deployment that exists."""

    def checked(method: str, path: str, **kwargs: Any) -> Any:
        full = path.format(deployment_id=deployment_id, container_id=container_id)
        answer = caas.call(method, f"{ENTERPRISE}/{full}", **kwargs)
        assert answer.status_code == 200, answer.text
        SCHEMA[f"{ENTERPRISE}/{path}"][method].validate_response(answer)
        return answer.json()

    deployment_id = container_id = ""
    deployment_id = checked("POST", "deploy", json=deploy_body())["deployment_id"]
    caas.until(deployment_id, "running")
    container_id = caas.workers(deployment_id)[0]["container_id"]
    checked("GET", "deployments", params={"status": "running"})
    checked("GET", "deployment/{deployment_id}")
    checked("GET", "deployment/{deployment_id}/containers")
    checked("GET", "deployment/{deployment_id}/container/{container_id}")
    checked("GET", "deployment/{deployment_id}/containers-jobs/{container_id}")
    checked("POST", "deployment/{deployment_id}/extend", json={"duration_hours": 1})
    checked("PUT", "clusters/{deployment_id}/update-name", json={"cluster_name": "other"})
    checked("GET", "clusters/check_cluster_name_availability", params={"cluster_name": "other"})
    checked("PATCH", "deployment/{deployment_id}", json={"image_url": "example/train:2"})
    checked("DELETE", "deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    checked("GET", "deployment/{deployment_id}")
    checked("GET", "deployment/{deployment_id}/containers")


@pytest.mark.parametrize(
    ("hardware_id", "location_ids", "gpus"), [("12", "[2]", 1), ("8H100.80S.176V", "FI", 8)]
)
def test_supply_and_price_of_both_identifier_systems_are_as_in_the_openapi_file(
    caas: CaasPlace, hardware_id: str, location_ids: str, gpus: int
) -> None:
    replicas = caas.call(
        "GET", "available-replicas", params={"hardware_id": hardware_id, "hardware_qty": gpus}
    )
    SCHEMA[f"{ENTERPRISE}/available-replicas"]["GET"].validate_response(replicas)
    price = caas.call(
        "GET",
        "price",
        params={
            "location_ids": location_ids,
            "hardware_id": hardware_id,
            "duration_hours": 5,
            "gpus_per_container": gpus,
            "replica_count": 1,
        },
    )
    SCHEMA[f"{ENTERPRISE}/price"]["GET"].validate_response(price)
    assert price.json()["data"]["total_cost_usdc"] > 0
