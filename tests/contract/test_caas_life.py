"""The life of a deployment on the CaaS stand-in, with containers in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.caas_place import UNKNOWN_ID, CaasPlace, deploy_body, eventually
from tests.contract.in_memory_runtime import InMemoryRuntime


def test_a_deployment_is_requested_then_runs_at_an_address(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    runtime.silent = True
    deployment_id = caas.deploy()
    worker = eventually(
        lambda: next((w for w in caas.workers(deployment_id) if runtime.specs), None)
    )
    assert worker["public_url"] is None
    assert caas.details(deployment_id)["status"] == "deployment requested"
    assert caas.details(deployment_id)["started_at"] is None
    runtime.silent = False
    details = caas.until(deployment_id, "running")
    assert details["started_at"]
    assert caas.workers(deployment_id)[0]["public_url"].startswith("http://127.0.0.1:")


def test_the_container_gets_plain_and_secret_variables_and_registry_credentials(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.until(caas.deploy(), "running")
    assert runtime.pulls == [("example/train:1", "puller", "registry-secret-planted")]
    assert runtime.specs[0].environment == {
        "RUN_NAME": "main",
        "STORE_SECRET": "env-secret-planted",
    }


def test_secrets_are_never_echoed_and_are_forgotten_at_the_end(caas: CaasPlace) -> None:
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    container_id = caas.workers(deployment_id)[0]["container_id"]
    answers = [
        caas.call("GET", path).text
        for path in (
            "deployments",
            f"deployment/{deployment_id}",
            f"deployment/{deployment_id}/containers",
            f"deployment/{deployment_id}/containers-jobs/{container_id}",
        )
    ]
    assert caas.details(deployment_id)["container_config"]["secret_env_keys"] == ["STORE_SECRET"]
    body = deploy_body()
    body["container_config"]["secret_env_variables"] = {"STORE_SECRET": ["env-secret-planted"]}
    answers.append(caas.call("POST", "deploy", json=body).text)
    assert not [text for text in answers if "planted" in text]
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    assert b"planted" not in caas.database.read_bytes()


def test_a_dollar_sign_is_written_twice_and_args_are_dropped(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.until(caas.deploy(entrypoint=["sh", "-c", "echo $$HOME $$$$"], args=["x"]), "running")
    assert runtime.specs[0].entrypoint == ("sh", "-c", "echo $HOME $$")
    assert runtime.specs[0].args == ()


def test_a_bare_dollar_sign_fails_the_deployment(caas: CaasPlace) -> None:
    deployment_id = caas.deploy(entrypoint=["sh", "-c", "echo $HOME"])
    caas.until(deployment_id, "failed")


def test_an_image_that_cannot_be_pulled_fails_the_deployment_and_says_so_in_its_events(
    caas: CaasPlace,
) -> None:
    deployment_id = caas.deploy(image_url="example/broken:1")
    details = caas.until(deployment_id, "failed")
    assert details["finished_at"]
    events = caas.workers(deployment_id)[0]["container_events"]
    assert events[-1]["message"] == "Failed to pull image: manifest unknown"


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_container_that_exits_is_started_again_as_another_one_at_the_same_address(
    caas: CaasPlace, runtime: InMemoryRuntime, exit_code: int
) -> None:
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    first = caas.workers(deployment_id)[0]
    runtime.exit(exit_code=exit_code)
    second = eventually(
        lambda: next(
            (
                worker
                for worker in caas.workers(deployment_id)
                if worker["container_id"] != first["container_id"] and worker["public_url"]
            ),
            None,
        )
    )
    assert second["public_url"] == first["public_url"]
    assert second["device_id"] == first["device_id"]
    for container_id in (first["container_id"], second["container_id"]):
        jobs = caas.call("GET", f"deployment/{deployment_id}/containers-jobs/{container_id}")
        assert [job["status"] for job in jobs.json()["data"]["workers"]] == ["running", "exited"]
    assert caas.details(deployment_id)["status"] == "running"


def test_a_container_that_stops_answering_is_replaced_after_the_grace(
    tmp_path: Path, runtime: InMemoryRuntime
) -> None:
    place = CaasPlace(tmp_path, runtime, health_grace_s=0.2)
    try:
        deployment_id = place.deploy()
        place.until(deployment_id, "running")
        (silent,) = place.workers(deployment_id)
        runtime.silent = True
        eventually(lambda: len(runtime.specs) > 1)
        runtime.silent = False

        def serves_again() -> bool:
            (worker,) = place.workers(deployment_id)
            return worker["container_id"] != silent["container_id"] and bool(worker["public_url"])

        eventually(serves_again)
        assert len(runtime.found()) == 1
        assert place.details(deployment_id)["status"] == "running"
    finally:
        place.stop()


def test_a_deployment_that_never_answers_fails_in_the_end(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    runtime.silent = True
    deployment_id = caas.deploy()
    eventually(lambda: runtime.specs)
    caas.time.advance(hours=1)
    caas.until(deployment_id, "failed")
    assert runtime.found() == []


def test_paid_hours_end_the_deployment_and_extending_adds_hours(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    deployment_id = caas.deploy(duration_hours=2)
    paid = caas.until(deployment_id, "running")["amount_paid"]
    caas.time.advance(hours=1, minutes=59)
    details = caas.details(deployment_id)
    assert details["status"] == "running"
    assert (details["compute_minutes_served"], details["compute_minutes_remaining"]) == (119, 1)
    extended = caas.call(
        "POST", f"deployment/{deployment_id}/extend", json={"duration_hours": 1}
    ).json()["data"]
    assert extended["amount_paid"] == pytest.approx(paid * 1.5)
    assert extended["compute_minutes_remaining"] == 61
    caas.time.advance(minutes=62)
    ended = caas.until(deployment_id, "completed")
    assert ended["completed_percent"] == 100
    assert runtime.found() == []
    assert caas.workers(deployment_id) == []


def test_one_deployment_can_be_made_older_than_the_others(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    old, young = caas.deploy("old"), caas.deploy("young")
    caas.until(old, "running")
    caas.until(young, "running")
    path = f"/_local/deployments/{old}/age"
    assert caas.call("POST", path, params={"minutes": 55}).status_code == 200
    details = caas.details(old)
    assert (details["compute_minutes_served"], details["compute_minutes_remaining"]) == (55, 5)
    assert caas.call("POST", path, params={"minutes": 5.1}).status_code == 200
    caas.until(old, "completed")
    assert caas.details(young)["status"] == "running"
    assert caas.call("POST", path, params={"minutes": 1}).status_code == 404


def test_the_billing_clock_runs_as_fast_as_it_is_told(
    tmp_path: Path, runtime: InMemoryRuntime
) -> None:
    place = CaasPlace(tmp_path, runtime, clock_speed=3600.0)
    try:
        deployment_id = place.deploy(duration_hours=1)
        place.until(deployment_id, "completed")
    finally:
        place.stop()


def test_destroying_is_asynchronous_and_an_ended_deployment_is_not_found(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.behave(termination_s=60)
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    for _ in range(2):
        assert caas.call("DELETE", f"deployment/{deployment_id}").status_code == 200
        assert caas.details(deployment_id)["status"] == "termination requested"
    caas.behave(termination_s=0)
    caas.until(deployment_id, "destroyed")
    assert runtime.found() == []
    for ended in (deployment_id, UNKNOWN_ID):
        answer = caas.call("DELETE", f"deployment/{ended}")
        assert (answer.status_code, answer.json()) == (400, {"detail": "Resource not found"})


def test_a_deployment_can_be_destroyed_while_its_image_is_pulled(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    runtime.pull_may_end.clear()
    deployment_id = caas.deploy()
    eventually(lambda: runtime.pulls)
    caas.call("DELETE", f"deployment/{deployment_id}")
    runtime.pull_may_end.set()
    caas.until(deployment_id, "destroyed")
    assert runtime.specs == []


def test_a_configuration_changed_while_its_image_is_pulled_is_the_one_that_runs(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    runtime.pull_may_end.clear()
    deployment_id = caas.deploy()
    eventually(lambda: runtime.pulls)
    change = {"image_url": "example/train:2"}
    caas.call("PATCH", f"deployment/{deployment_id}", json=change)
    runtime.pull_may_end.set()
    caas.until(deployment_id, "running")
    assert [spec.image_url for spec in runtime.specs] == ["example/train:2"]


def test_a_slow_pull_holds_up_nobody_else(caas: CaasPlace, runtime: InMemoryRuntime) -> None:
    other = caas.deploy("other")
    caas.until(other, "running")
    runtime.pull_may_end.clear()
    caas.deploy("slow")
    eventually(lambda: len(runtime.pulls) == 2)
    caas.call("DELETE", f"deployment/{other}")
    caas.until(other, "destroyed")


def test_changing_the_configuration_makes_the_containers_anew(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    first = caas.workers(deployment_id)[0]["container_id"]
    change = {"image_url": "example/train:2", "env_variables": {"RUN_NAME": "other"}}
    assert caas.call("PATCH", f"deployment/{deployment_id}", json=change).status_code == 200
    caas.until(deployment_id, "running")
    assert caas.workers(deployment_id)[0]["container_id"] != first
    assert runtime.specs[-1].image_url == "example/train:2"
    assert runtime.specs[-1].environment == {
        "RUN_NAME": "other",
        "STORE_SECRET": "env-secret-planted",
    }
    assert len(runtime.found()) == 1


def test_an_update_refuses_members_that_it_does_not_know(caas: CaasPlace) -> None:
    deployment_id = caas.deploy()
    answer = caas.call("PATCH", f"deployment/{deployment_id}", json={"container_config": {}})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "extra_forbidden"


def test_a_restarted_service_remembers_and_keeps_living_containers(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    deployment_id = caas.deploy()
    before = caas.until(deployment_id, "running")
    workers = caas.workers(deployment_id)
    caas.stop()
    caas.start()
    after = caas.details(deployment_id)
    assert {**after, "completed_percent": 0} == {**before, "completed_percent": 0}
    assert caas.workers(deployment_id) == workers
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    assert len(runtime.specs) == 1


def test_a_restarted_service_removes_containers_of_no_live_deployment(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.until(caas.deploy(), "running")
    caas.stop()
    caas.database.unlink()
    caas.start()
    eventually(lambda: not runtime.found())


def test_a_runtime_that_does_not_answer_is_not_taken_for_a_lost_container(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    runtime.unavailable = True
    caas.call("DELETE", f"deployment/{deployment_id}")
    assert caas.details(deployment_id)["status"] == "termination requested"
    runtime.unavailable = False
    caas.until(deployment_id, "destroyed")
    assert len(runtime.specs) == 1
