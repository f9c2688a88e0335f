"""A whole run in this process, against a real S3 server."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import requests

from container.contract.records import RunStatus
from container.storage.bucket import RunBucket
from tests.container.conftest import TOKEN, Launch, wait_for
from tests.container.recipes import fake_recipe
from tests.container.s3_server import SECRET_KEY


def test_a_run_trains_uploads_all_of_value_and_ends_with_one_verdict(
    launch: Launch, bucket: RunBucket
):
    run = launch()
    verdict = run.verdict()
    assert (verdict.outcome, verdict.attempt, verdict.exit_code) == ("succeeded", 1, 0), run.log
    assert verdict.dollars > 0
    keys = bucket.list()
    for expected in (
        "run.json",
        "attempts/1.json",
        "status.json",
        "tokenizer/made.txt",
        "checkpoints/base/d2/model_000006.pt",
        "checkpoints/base/d2/optim_000002_rank0.pt",
        "checkpoints/base/d2/complete_000004.json",
        "checkpoints/sft/d2/complete_000006.json",
        "report/made.txt",
    ):
        assert expected in keys
    assert any(key.startswith("metrics/1-") for key in keys)
    assert any(key.startswith("logs/1-base-") for key in keys)
    manifest = run.manifest()
    listed = {artifact.key for artifact in manifest.artifacts}
    assert {key for key in keys if not key.endswith(("status.json", "lease.json"))} - listed == {
        "manifest.json",
        "verdict.json",
    }
    for artifact in manifest.artifacts:
        content = bucket.get(artifact.key) or b""
        assert hashlib.sha256(content).hexdigest() == artifact.sha256, artifact.key


def test_the_loss_curve_and_the_stages_are_on_the_page_without_any_secret(launch: Launch):
    run = launch()
    run.verdict()
    page = requests.get(run.url, timeout=5).text
    assert "polyline" in page
    assert "succeeded" in page
    for text in (page, run.log, requests.get(run.url + "/metrics", timeout=5).text):
        assert SECRET_KEY not in text
        assert TOKEN not in text
    assert "the secret is not here" in run.log
    status = RunStatus.from_json(requests.get(run.url + "/status.json", timeout=5).content)
    assert status.outcome == "succeeded"
    assert {stage.state for stage in status.stages} == {"done"}


def test_the_status_page_answers_before_the_bucket_does(launch: Launch):
    run = launch(R2_ENDPOINT="http://127.0.0.1:9")
    wait_for(lambda: "waiting for the bucket" in run.log)
    assert requests.get(run.url + "/health", timeout=5).json() == {"status": "ok"}
    assert run.end() == 0


def test_a_container_on_a_prefix_with_a_verdict_does_nothing_but_serve(
    launch: Launch, bucket: RunBucket
):
    first = launch()
    first.verdict()
    first.end()
    before = bucket.list()
    second = launch(work="another")
    wait_for(lambda: second.supervisor.live_status.outcome)
    assert "stage started" not in second.log
    wait_for(lambda: "polyline" in requests.get(second.url, timeout=5).text)  # the past is shown
    assert {stage.state for stage in second.status().stages} == {"done"}
    assert second.end() == 0
    assert bucket.list() == before


def test_the_model_is_served_behind_the_token_once_the_verdict_is_there(launch: Launch):
    run = launch(KEEP_ALIVE="true")
    run.verdict()
    wait_for(lambda: run.supervisor.page.chat.server, what=run.log)
    ask = {"messages": [{"role": "user", "content": "hello there"}]}
    url = run.url + "/v1/chat/completions"
    assert requests.post(url, json=ask, timeout=10).status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(url, json=ask, headers=headers, timeout=10)
    assert answer.json()["choices"][0]["message"]["content"] == "hello there"
    models = requests.get(run.url + "/v1/models", headers=headers, timeout=10).json()
    assert models["data"][0]["id"] == "main-d2"
    assert 'href="chat"' in requests.get(run.url, timeout=5).text


def test_the_chat_page_opens_with_the_token_and_keeps_it_in_a_cookie(launch: Launch):
    run = launch(KEEP_ALIVE="true")
    run.verdict()
    wait_for(lambda: run.supervisor.page.chat.server, what=run.log)
    ask = {"messages": [{"role": "user", "content": "hello there"}]}
    with requests.Session() as browser:
        door = browser.get(run.url + "/chat", timeout=10).text
        assert 'name="token"' in door
        wrong = browser.post(run.url + "/chat", data={"token": "guess"}, timeout=10)
        assert (wrong.status_code, "not the token" in wrong.text) == (401, True)
        assert not browser.cookies
        page = browser.post(run.url + "/chat", data={"token": TOKEN}, timeout=10)
        assert page.ok
        assert 'id="prompt"' in page.text
        assert TOKEN not in page.url + page.text
        (cookie,) = browser.cookies
        assert cookie.has_nonstandard_attr("HttpOnly")
        answer = browser.post(run.url + "/v1/chat/completions", json=ask, timeout=10)
        assert answer.json()["choices"][0]["message"]["content"] == "hello there"


def test_nanochats_own_page_is_shown_where_it_has_one_and_works_behind_the_token(launch: Launch):
    recipe = fake_recipe()
    assert recipe.chat is not None
    recipe = replace(recipe, chat=replace(recipe.chat, dialect="nanochat"))
    run = launch(recipe, KEEP_ALIVE="true")
    run.verdict()
    wait_for(lambda: run.supervisor.page.chat.server, what=run.log)
    ask = {"messages": [{"role": "user", "content": "three small words"}]}
    with requests.Session() as browser:
        for path in ("/logo.svg", "/chat/completions"):
            answer = browser.request("GET" if "svg" in path else "POST", run.url + path, timeout=10)
            assert answer.status_code == 401
        page = browser.post(run.url + "/chat", data={"token": TOKEN}, timeout=10)
        assert "the model's own page" in page.text
        assert browser.get(run.url + "/logo.svg", timeout=10).status_code == 404
        answer = browser.post(run.url + "/chat/completions", json=ask, timeout=10)
        assert answer.text.splitlines()[0] == 'data: {"token": "three "}'


def test_what_is_said_in_the_chat_does_not_show_on_the_public_page(launch: Launch):
    run = launch(KEEP_ALIVE="true")
    run.verdict()
    wait_for(lambda: run.supervisor.page.chat.server, what=run.log)
    ask = {"messages": [{"role": "user", "content": "between us"}]}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    requests.post(run.url + "/v1/chat/completions", json=ask, headers=headers, timeout=10)
    wait_for(lambda: "asked: between us" in run.log, what=run.log)
    assert "between us" not in requests.get(run.url, timeout=10).text


def test_nanochats_own_chat_is_spoken_to_in_its_dialect_and_answers_in_openais(launch: Launch):
    recipe = fake_recipe()
    assert recipe.chat is not None
    recipe = replace(recipe, chat=replace(recipe.chat, dialect="nanochat"))
    run = launch(recipe, KEEP_ALIVE="true")
    run.verdict()
    wait_for(lambda: run.supervisor.page.chat.server, what=run.log)
    ask = {"messages": [{"role": "user", "content": "three small words"}]}
    url, headers = run.url + "/v1/chat/completions", {"Authorization": f"Bearer {TOKEN}"}
    whole = requests.post(url, json=ask, headers=headers, timeout=10).json()
    assert whole["choices"][0]["message"]["content"] == "three small words "
    stream = requests.post(url, json={**ask, "stream": True}, headers=headers, timeout=10).text
    chunks = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    assert chunks[-1] == "[DONE]"
    words = [json.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]]
    assert words == ["three ", "small ", "words ", ""]


def test_what_openais_clients_send_is_put_as_nanochats_chat_takes_it(launch: Launch):
    recipe = fake_recipe()
    assert recipe.chat is not None
    recipe = replace(recipe, chat=replace(recipe.chat, dialect="nanochat"))
    run = launch(recipe, KEEP_ALIVE="true")
    run.verdict()
    wait_for(lambda: run.supervisor.page.chat.server, what=run.log)
    url, headers = run.url + "/v1/chat/completions", {"Authorization": f"Bearer {TOKEN}"}
    system = {"role": "system", "content": "be brief"}
    parts = [{"type": "text", "text": "two "}, {"type": "text", "text": "words"}]
    ask = {"messages": [system, {"role": "user", "content": parts}]}
    whole = requests.post(url, json=ask, headers=headers, timeout=10).json()
    assert whole["choices"][0]["message"]["content"] == "be brief two words "
    ask = {"messages": [{"role": "user", "content": "x"}, system], "stream": True}
    refused = requests.post(url, json=ask, headers=headers, timeout=10)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "Message 0 has invalid role."


def test_a_model_that_is_served_again_by_a_fresh_container_comes_from_the_bucket(
    launch: Launch, tmp_path: Path
):
    first = launch()
    first.verdict()
    first.end()
    second = launch(KEEP_ALIVE="true", work="fresh")
    wait_for(lambda: second.supervisor.page.chat.server, what=second.log)
    assert (tmp_path / "fresh" / "chatsft_checkpoints" / "d2" / "model_000006.pt").exists()
    assert (tmp_path / "fresh" / "tokenizer" / "made.txt").exists()


def test_metrics_hold_each_step_once(launch: Launch, bucket: RunBucket):
    run = launch()
    run.verdict()
    lines = [
        json.loads(line)
        for key in bucket.list("metrics/")
        for line in (bucket.get(key) or b"").splitlines()
    ]
    steps = [line["step"] for line in lines if line["stage"] == "base" and "loss" in line]
    assert sorted(steps) == list(range(6))
