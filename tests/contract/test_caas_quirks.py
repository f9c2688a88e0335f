"""The switches of the CaaS stand-in: what the vendor may do instead of the default."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import requests

from components.ionet import market
from components.ionet.client import Client
from components.ionet.errors import CatalogueUnreadError
from components.ionet.offers import Wish
from tests.contract.caas_place import (
    API_KEY,
    PUBLIC,
    UNKNOWN_ID,
    CaasPlace,
    deploy_body,
    eventually,
)
from tests.contract.in_memory_runtime import InMemoryRuntime


def names(caas: CaasPlace) -> list[str]:
    rows = caas.call("GET", "deployments").json()["data"]["deployments"]
    return [row["name"] for row in rows]


def test_unknown_switches_and_values_are_refused_by_name(caas: CaasPlace) -> None:
    for changes, member in (({"argz": "dropped"}, "argz"), ({"args": "eaten"}, "args")):
        answer = caas.call("POST", "/_local/behaviours", json=changes)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", member]


def test_a_reply_can_be_cut_after_the_deployment_was_created(caas: CaasPlace) -> None:
    caas.behave(lose_reply="cut")
    with pytest.raises(requests.ConnectionError):
        caas.call("POST", "deploy", json=deploy_body("lost"))
    assert names(caas) == ["lost"]
    caas.deploy("next")


def test_a_reply_can_become_a_gateway_page(caas: CaasPlace) -> None:
    caas.behave(lose_reply="504", lose_reply_times=2)
    for name in ("one", "two"):
        answer = caas.call("POST", "deploy", json=deploy_body(name))
        assert answer.status_code == 504
        assert answer.headers["content-type"].startswith("text/html")
    caas.deploy("three")
    assert names(caas) == ["three", "two", "one"]


def test_a_reply_can_be_lost_before_anything_was_created(caas: CaasPlace) -> None:
    caas.behave(lose_reply="504", lost_create="not_created")
    assert caas.call("POST", "deploy", json=deploy_body()).status_code == 504
    assert names(caas) == []


def test_a_refusal_is_not_a_reply_that_gets_lost(caas: CaasPlace) -> None:
    caas.behave(lose_reply="504")
    assert caas.call("POST", "deploy", json=deploy_body(hardware_id=999)).status_code == 400
    assert caas.call("POST", "deploy", json=deploy_body()).status_code == 504


@pytest.mark.parametrize(
    ("shape", "status"),
    [
        ("401", 401),
        ("400_key_set", 400),
        ("400_words", 400),
        ("400_message", 400),
        ("403", 403),
        ("html", 403),
    ],
)
def test_a_bad_key_has_several_shapes(caas: CaasPlace, shape: str, status: int) -> None:
    caas.behave(bad_key=shape, every_key_is_bad=True)
    answer = caas.call("GET", "deployments")
    assert answer.status_code == status
    if shape == "400_key_set":
        assert answer.json() == {"key_set": True}
    if shape in ("400_words", "400_message"):
        assert "Invalid API key provided!" in answer.text
    if shape == "html":
        assert answer.text.startswith("<!doctype html>")
    caas.behave(every_key_is_bad=False)
    assert caas.call("GET", "deployments").status_code == 200


def test_answers_can_be_late(caas: CaasPlace) -> None:
    caas.behave(delay_s=0.2)
    assert caas.call("GET", "deployments").elapsed.total_seconds() >= 0.2


@pytest.mark.parametrize(
    ("shape", "member"), [("cluster_id", "cluster_id"), ("id", "id"), ("wrapped", "data")]
)
def test_the_id_of_a_deploy_can_lie_elsewhere(caas: CaasPlace, shape: str, member: str) -> None:
    caas.behave(deploy_answer=shape)
    answer = caas.call("POST", "deploy", json=deploy_body()).json()
    assert member in answer
    assert "deployment_id" not in answer


def test_the_answer_to_a_deploy_can_be_empty(caas: CaasPlace) -> None:
    caas.behave(deploy_answer="empty")
    answer = caas.call("POST", "deploy", json=deploy_body())
    assert (answer.status_code, answer.content) == (200, b"")
    assert names(caas) == ["run"]


def test_a_new_deployment_can_be_missing_from_the_list_for_a_while(caas: CaasPlace) -> None:
    caas.behave(list_delay_s=60)
    deployment_id = caas.deploy()
    assert names(caas) == []
    assert caas.details(deployment_id)["id"] == deployment_id
    caas.time.advance(seconds=61)
    assert names(caas) == ["run"]


def test_words_and_times_can_be_written_differently(caas: CaasPlace) -> None:
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    assert datetime.fromisoformat(caas.details(deployment_id)["created_at"]).tzinfo
    caas.behave(status_case="upper", timestamps="naive")
    details = caas.details(deployment_id)
    assert details["status"] == "RUNNING"
    assert datetime.fromisoformat(details["created_at"]).tzinfo is None


def test_a_missing_address_can_be_an_empty_string(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    runtime.silent = True
    caas.behave(no_public_url="empty")
    assert caas.workers(caas.deploy())[0]["public_url"] == ""


def test_an_ended_deployment_can_be_404(caas: CaasPlace) -> None:
    caas.behave(delete_ended="404")
    assert caas.call("DELETE", f"deployment/{UNKNOWN_ID}").status_code == 404


def test_hours_after_the_first_can_be_refunded(caas: CaasPlace) -> None:
    caas.behave(early_destroy="first_hour_kept")
    deployment_id = caas.deploy(duration_hours=4)
    paid = caas.until(deployment_id, "running")["amount_paid"]
    caas.call("DELETE", f"deployment/{deployment_id}")
    assert caas.until(deployment_id, "destroyed")["amount_paid"] == pytest.approx(paid / 4)


def test_an_exited_container_can_be_left_dead(caas: CaasPlace, runtime: InMemoryRuntime) -> None:
    caas.behave(container_exit="left_dead")
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    runtime.exit(exit_code=0)
    worker = eventually(
        lambda: next((w for w in caas.workers(deployment_id) if w["status"] == "exited"), None)
    )
    assert worker["public_url"] is None
    assert caas.details(deployment_id)["status"] == "running"
    assert len(runtime.specs) == 1


def test_a_container_can_keep_its_id_over_restarts(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.behave(container_id="stable")
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    container_id = caas.workers(deployment_id)[0]["container_id"]
    runtime.exit(exit_code=1)
    path = f"deployment/{deployment_id}/containers-jobs/{container_id}"
    eventually(lambda: caas.call("GET", path).json()["data"]["total"] == 2)
    assert caas.workers(deployment_id)[0]["container_id"] == container_id


@pytest.mark.parametrize(
    ("changes", "replicas"),
    [({"funds": "fails_later"}, 1), ({"capacity": "accepted_then_failed"}, 65)],
)
def test_a_deployment_can_be_accepted_and_fail_then(
    caas: CaasPlace, changes: dict[str, Any], replicas: int
) -> None:
    caas.behave(**changes)
    caas.until(caas.deploy(replica_count=replicas), "failed")


def test_missing_funds_can_refuse_a_deploy_and_an_extension(caas: CaasPlace) -> None:
    deployment_id = caas.deploy()
    caas.behave(funds="refused")
    extend = f"deployment/{deployment_id}/extend"
    for answer in (
        caas.call("POST", "deploy", json=deploy_body("two")),
        caas.call("POST", extend, json={"duration_hours": 1}),
    ):
        assert (answer.status_code, answer.json()) == (
            400,
            {"detail": "Insufficient credits balance"},
        )


@pytest.mark.parametrize(("base", "first_page"), [("zero_based", 0), ("one_based", 1)])
def test_pages_can_be_counted_strictly(caas: CaasPlace, base: str, first_page: int) -> None:
    caas.behave(page=base)
    caas.deploy()
    for page in (0, 1):
        data = caas.call("GET", "deployments", params={"page": page}).json()["data"]
        assert len(data["deployments"]) == (page == first_page)


def test_bare_dollar_signs_can_be_refused_and_args_honoured(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.behave(bare_dollar="refused", args="honoured")
    assert caas.call("POST", "deploy", json=deploy_body(entrypoint=["$HOME"])).status_code == 400
    caas.until(caas.deploy(args=["--x"]), "running")
    assert runtime.specs[0].args == ("--x",)


def running_container(caas: CaasPlace) -> tuple[str, str]:
    deployment_id = caas.deploy()
    caas.until(deployment_id, "running")
    return deployment_id, caas.workers(deployment_id)[0]["container_id"]


@pytest.mark.parametrize("base", ["", f"{PUBLIC}/"])
def test_a_log_is_streamed_line_by_line_until_the_container_ends(
    caas: CaasPlace, runtime: InMemoryRuntime, base: str
) -> None:
    deployment_id, container_id = running_container(caas)
    (output,) = runtime.outputs.values()
    output.write(b"one\ntw")
    path = f"{base}deployment/{deployment_id}/log/{container_id}"
    with caas.call("GET", path, stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == b"one"
        output.write(b"o\nthree")
        assert next(lines) == b"two"
        output.close()
        assert list(lines) == [b"three"]


def test_a_log_can_be_framed_as_server_sent_events(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.behave(log_framing="sse")
    deployment_id, container_id = running_container(caas)
    (output,) = runtime.outputs.values()
    output.write(b"one\ntwo\n")
    output.close()
    answer = caas.call("GET", f"deployment/{deployment_id}/log/{container_id}?offset=1")
    assert answer.content == b"data: two\n\n"


def test_the_machines_of_one_country_start_no_container(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.behave(never_starts_in="FI")
    bad = caas.deploy("bad", location_ids=[5])
    caas.until(caas.deploy("good"), "running")
    assert caas.details(bad)["status"] == "deployment requested"
    assert {one.deployment_id for one in runtime.specs} != {bad}


def test_the_machines_of_one_country_have_little_disk(
    caas: CaasPlace, runtime: InMemoryRuntime
) -> None:
    caas.behave(little_disk_in="FI")
    found = {caas.deploy(name, location_ids=[n]): n for name, n in (("one", 2), ("two", 5))}
    for deployment_id in found:
        caas.until(deployment_id, "running")
    assert {found[one.deployment_id]: one.little_disk for one in runtime.specs} == {
        2: False,
        5: True,
    }


@pytest.mark.parametrize(
    ("how", "code", "generation", "plain", "secret"),
    [
        ("done", 200, 2, {"NEW": "1"}, {"NEW_SECRET": "planted"}),
        ("refused", 400, 1, {"RUN_NAME": "main"}, {"STORE_SECRET": "env-secret-planted"}),
        ("ignored", 200, 1, {"RUN_NAME": "main"}, {"STORE_SECRET": "env-secret-planted"}),
        ("env_dropped", 200, 2, {"RUN_NAME": "main"}, {"NEW_SECRET": "planted"}),
        (
            "merged",
            200,
            2,
            {"RUN_NAME": "main", "NEW": "1"},
            {"STORE_SECRET": "env-secret-planted", "NEW_SECRET": "planted"},
        ),
    ],
)
def test_an_update_does_as_its_switch_says(
    caas: CaasPlace,
    runtime: InMemoryRuntime,
    how: str,
    code: int,
    generation: int,
    plain: dict[str, str],
    secret: dict[str, str],
) -> None:
    deployment_id, _ = running_container(caas)
    caas.behave(update=how)
    change = {"env_variables": {"NEW": "1"}, "secret_env_variables": {"NEW_SECRET": "planted"}}
    answer = caas.call("PATCH", f"deployment/{deployment_id}", json=change)
    assert answer.status_code == code, answer.text
    found = caas.cloud.store.deployment(deployment_id)
    assert found
    assert found.generation == generation
    eventually(lambda: len(runtime.specs) == generation)
    caas.until(deployment_id, "running")
    assert runtime.specs[-1].environment == {**plain, **secret}


def test_prices_move_between_two_calls_and_what_was_paid_stays(caas: CaasPlace) -> None:
    def quoted() -> tuple[float, float]:
        rows = caas.call("GET", f"{PUBLIC}/hardware").json()["data"]["hardware"]
        query = {"hardware_id": 12, "location_ids": "[2]", "duration_hours": 1}
        query |= {"gpus_per_container": 1, "replica_count": 1}
        price = caas.call("GET", "price", params=query).json()["data"]["total_cost_usdc"]
        return next(row["price"] for row in rows if row["deploy_id"] == "8H100.80S.176V"), price

    listed, total = quoted()
    first = caas.deploy("before")
    caas.behave(price_factor=5)
    assert quoted() == (pytest.approx(listed * 5), pytest.approx(total * 5))
    assert caas.details(first)["amount_paid"] == pytest.approx(total)
    assert caas.details(caas.deploy("after"))["amount_paid"] == pytest.approx(total * 5)
    caas.call("POST", f"deployment/{first}/extend", json={"duration_hours": 1})
    assert caas.details(first)["amount_paid"] == pytest.approx(total * 6)


def test_a_log_can_be_cut(caas: CaasPlace, runtime: InMemoryRuntime) -> None:
    caas.behave(log_end="cut")
    deployment_id, container_id = running_container(caas)
    (output,) = runtime.outputs.values()
    output.write(b"line\n" * 100)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        caas.call("GET", f"deployment/{deployment_id}/log/{container_id}")


def test_a_log_is_gone_with_the_machine_or_kept(caas: CaasPlace, runtime: InMemoryRuntime) -> None:
    paths: list[str] = []
    for expiry in ("log_gone", "log_kept"):
        caas.behave(expiry=expiry)
        deployment_id, container_id = running_container(caas)
        list(runtime.outputs.values())[-1].write(b"last words\n")
        caas.time.advance(hours=2)
        caas.until(deployment_id, "completed")
        paths.append(f"deployment/{deployment_id}/log/{container_id}")
    gone, kept = (caas.call("GET", path) for path in paths)
    assert gone.status_code == 404
    assert kept.text == "last words\n"


def test_many_quiet_log_streams_do_not_stop_other_requests(caas: CaasPlace) -> None:
    deployment_id, container_id = running_container(caas)
    path = f"deployment/{deployment_id}/log/{container_id}"
    streams = [caas.call("GET", path, stream=True) for _ in range(60)]
    assert caas.call("GET", "deployments", timeout=5).status_code == 200
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("shape", ["account", "public"])
def test_the_catalogue_is_read_and_rented_from_in_each_shape(caas: CaasPlace, shape: str) -> None:
    caas.behave(hardware_shape=shape)
    client = Client(API_KEY, base_url=caas.url, retry_for_s=0)
    rows = {(row.hardware_id, row.location): row for row in client.hardware()}
    node = rows["8H100.80S.176V", "FI"]
    assert (node.name, node.available, node.max_gpus_per_container) == ("H100", 3, 8)
    assert rows[12, None].price_usd_per_hour == Decimal("0.40")
    wish = Wish(gpu_type="H100 SXM", gpus=8, locations=("FI",), hours=2)
    offer = market.chosen(market.quote(client, wish, cap_usd=Decimal(100)))[1]
    assert (offer.hardware_id, offer.location_ids) == ("8H100.80S.176V", ("FI",))
    caas.deploy(
        hardware_id=offer.hardware_id, location_ids=list(offer.location_ids), gpus_per_container=8
    )


def test_a_catalogue_of_another_shape_is_told_by_the_members_that_it_has(caas: CaasPlace) -> None:
    caas.behave(hardware_shape="unknown")
    with pytest.raises(CatalogueUnreadError, match="Members met: gpu, sku"):
        Client(API_KEY, base_url=caas.url).hardware()


def test_both_forms_are_rented_and_the_one_on_which_the_run_costs_least_is_taken(
    caas: CaasPlace,
) -> None:
    client = Client(API_KEY, base_url=caas.url, retry_for_s=0)
    wish = Wish(gpu_type="H100", gpus=8, locations=("US",), hours=2)
    chosen = market.chosen(market.quote(client, wish, cap_usd=Decimal(100)))[1]
    assert chosen.hardware_name == "H100 SXM"  # 8 x $2.20, where a PCIe is 8 x $1.49 x 1.6
    by_name = market.chosen(
        market.quote(client, replace(wish, gpu_type="H100 PCIe"), cap_usd=Decimal(100))
    )[1]
    assert by_name.hardware_name == "H100 PCIe"
