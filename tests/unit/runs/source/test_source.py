"""Where to look: stack outputs of one run and of several, prefixes, addresses, keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runs.errors import NoSuchRunError, SettingMissingError
from runs.source.selector import Selector
from runs.source.source import Source
from runs.source.stack import NoStackError, Target, pick, targets_of

PREFIX = "dev-main-0a1b2c3d-deadbeef"
OTHER = "dev-wide-0a1b2c3d-deadbeef"


def source(words: Selector | None = None, **environ: str) -> Source:
    return Source(words or Selector(bucket="b"), environ=environ)


def fake_pulumi(folder: Path, script: str) -> str:
    """A program named pulumi that does what the script says; returns a PATH with it."""
    program = folder / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def unnamed(prefix: str) -> str:
    raise AssertionError(f"{prefix}: the outputs name the run")


def test_the_outputs_of_a_stack_with_one_run_are_plain_values() -> None:
    assert targets_of(
        {
            "r2_prefix": PREFIX,
            "status_url": "http://127.0.0.1:8000/",
            "deployment_id": "d-1",
            "estimated_cost_usd": "0.40",
        },
        name_of={PREFIX: "main"}.__getitem__,
    ) == [
        Target(
            run="main",
            prefix=PREFIX,
            status_url="http://127.0.0.1:8000",
            deployment_id="d-1",
            estimated_cost_usd="0.40",
        )
    ]


def test_the_outputs_of_a_stack_with_several_runs_are_maps() -> None:
    found = targets_of(
        {"r2_prefix": {"main": PREFIX, "wide": OTHER}, "status_url": {"wide": "http://w"}},
        name_of=unnamed,
    )
    assert [(t.run, t.prefix, t.status_url) for t in found] == [
        ("main", PREFIX, ""),
        ("wide", OTHER, "http://w"),
    ]
    assert [t.run_of_sweep for t in found] == ["main", "wide"]


def test_the_only_run_of_a_stack_has_keys_of_its_own_where_it_bears_a_name() -> None:
    names = {PREFIX: "main", OTHER: "wide", "unnamed": "unnamed"}
    only = [targets_of({"r2_prefix": one}, name_of=names.__getitem__)[0] for one in names]
    assert [one.run_of_sweep for one in only] == ["", "wide", ""]


@pytest.mark.parametrize("outputs", [{}, {"r2_prefix": None}, {"r2_prefix": {}}])
def test_a_destroyed_stack_names_no_run(outputs: dict[str, Any]) -> None:
    assert targets_of(outputs, name_of=unnamed) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("", [PREFIX, OTHER]),
        ("main", [PREFIX]),
        (OTHER, [OTHER]),
        ("dev-w", [OTHER]),
        ("dev-", [PREFIX, OTHER]),
        ("nothing", []),
    ],
)
def test_a_run_is_named_by_its_key_its_prefix_or_a_beginning(
    wanted: str, expected: list[str]
) -> None:
    targets = [Target(run="main", prefix=PREFIX), Target(run="wide", prefix=OTHER)]
    assert [target.prefix for target in pick(targets, wanted)] == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"R2_ENDPOINT_URL": "http://127.0.0.1:1/"}, "http://127.0.0.1:1"),
        ({"CLOUDFLARE_ACCOUNT_ID": "acc"}, "https://acc.r2.cloudflarestorage.com"),
    ],
)
def test_the_endpoint_is_named_or_follows_from_the_account(
    environ: dict[str, Any], expected: str
) -> None:
    assert source(**environ).endpoint == expected


def test_a_jurisdiction_is_part_of_the_endpoint(tmp_path: Path) -> None:
    path = fake_pulumi(
        tmp_path,
        """echo '{"trainstack:cloudflareAccountId": {"value": "acc", "secret": false},
        "trainstack:jurisdiction": {"value": "eu", "secret": false}}'""",
    )
    found = source(Selector(stack="dev"), PATH=path)
    assert found.endpoint == "https://acc.eu.r2.cloudflarestorage.com"


def test_white_space_that_was_pasted_with_a_key_is_dropped() -> None:
    told = source(CLOUDFLARE_API_TOKEN="token\u00a0\n", IOCLOUD_API_KEY=" key\r\n")
    assert (told.cloudflare_token, told.ionet_key) == ("token", "key")


def test_two_keys_of_io_net_that_differ_are_told_before_anyone_is_asked() -> None:
    with pytest.raises(SettingMissingError) as failed:
        source(IOCLOUD_API_KEY="planted", IONET_API_KEY="planted-too")
    assert str(failed.value).startswith("IOCLOUD_API_KEY and IONET_API_KEY")
    assert "planted" not in str(failed.value)
    assert source(IONET_API_KEY="older").ionet_key == "older"


@pytest.mark.parametrize(
    "name", ["CLOUDFLARE_API_TOKEN", "R2_SECRET_ACCESS_KEY", "IOCLOUD_API_KEY"]
)
def test_a_key_that_no_header_can_carry_is_told_before_anyone_is_asked(name: str) -> None:
    with pytest.raises(SettingMissingError) as failed:
        Source(Selector(bucket="b"), environ={name: "planted\nplanted"})
    assert str(failed.value).startswith(f"{name}: character 8 is U+000A (a line end)")
    assert "planted" not in str(failed.value)


def test_an_explicit_pair_of_keys_needs_no_cloudflare() -> None:
    found = source(R2_ENDPOINT_URL="http://x", R2_ACCESS_KEY_ID="a", R2_SECRET_ACCESS_KEY="s")
    assert found.bucket.name == "b"


@pytest.mark.parametrize(
    ("words", "environ", "complaint"),
    [
        (Selector(stack="dev"), {"PATH": "/nowhere"}, "pulumi is not on PATH"),
        (Selector(bucket="b"), {"PATH": "/nowhere"}, "no Cloudflare account"),
        (Selector(bucket="b"), {"R2_ENDPOINT_URL": "http://x"}, "CLOUDFLARE_API_TOKEN is not set"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(
    words: Selector, environ: dict[str, str], complaint: str
) -> None:
    found = source(words, **environ)
    with pytest.raises(SettingMissingError, match=complaint) as caught:
        _ = found.outputs, found.bucket
    assert len(str(caught.value).splitlines()) >= 2


def test_a_pulumi_that_says_no_is_quoted_and_answered(tmp_path: Path) -> None:
    path = fake_pulumi(tmp_path, "echo 'error: no stack selected' >&2; exit 1")
    with pytest.raises(SettingMissingError, match="no stack selected") as caught:
        _ = source(Selector(), PATH=path).outputs
    assert "source .local/env" in str(caught.value)


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ("error: no stack named 'dev' found", NoStackError),
        ("error: no stack selected; please use `pulumi stack select` to choose one", NoStackError),
        ("error: unable to open state directory", SettingMissingError),
    ],
)
def test_a_stack_that_there_is_not_is_told_from_one_that_cannot_be_read(
    tmp_path: Path, says: str, kind: type[SettingMissingError]
) -> None:
    path = fake_pulumi(tmp_path, f'echo "{says.replace("`", "")}" >&2; exit 6')
    with pytest.raises(SettingMissingError) as caught:
        _ = source(Selector(stack="dev"), PATH=path).state_ids
    assert type(caught.value) is kind


def test_a_mistyped_stack_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    path = fake_pulumi(
        tmp_path,
        """case "$*" in *ls*) echo '[{"name": "prod"}, {"name": "dev"}]';;
        *) echo "error: no stack named 'dve' found" >&2; exit 6;; esac""",
    )
    with pytest.raises(NoStackError, match="nearest first: dev, prod"):
        _ = source(Selector(stack="dve"), PATH=path).outputs


def test_a_pulumi_that_answers_no_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingMissingError, match="something else than JSON"):
        _ = source(Selector(), PATH=fake_pulumi(tmp_path, "echo hello")).outputs


def test_a_single_run_is_named_by_the_stacks_config(tmp_path: Path) -> None:
    path = fake_pulumi(
        tmp_path,
        """case "$*" in *output*) echo '{"r2_prefix": "prod-eu-main-0a1b2c3d-deadbeef"}';;
        *) echo '{}';; esac""",
    )
    (found,) = source(Selector(stack="prod-eu", run="main"), PATH=path).choose()
    assert found.run == "main"


def test_the_account_of_the_shell_does_where_no_stack_tells_one() -> None:
    found = source(Selector(), PATH="/nowhere", CLOUDFLARE_ACCOUNT_ID="acc")
    assert found.account == "acc"


def test_the_access_token_is_asked_for_by_name_and_of_the_right_run(tmp_path: Path) -> None:
    path = fake_pulumi(
        tmp_path,
        """case "$*" in *--show-secrets*) echo '{"access_token": {"main": "t0ken"}}';;
        *) echo '{"access_token": "[secret]"}';; esac""",
    )
    found = source(Selector(stack="dev"), PATH=path)
    assert found.access_token("main") == "t0ken"
    with pytest.raises(SettingMissingError, match="access_token"):
        found.access_token("other")
    assert found.outputs == {"access_token": "[secret]"}


def test_a_destroyed_stack_still_knows_its_bucket_from_its_config(tmp_path: Path) -> None:
    path = fake_pulumi(
        tmp_path,
        """case "$*" in *output*) echo '{}';;
        *) echo '{"trainstack:bucket": {"value": "kept", "secret": false}}';; esac""",
    )
    assert source(Selector(stack="dev"), PATH=path).bucket_name == "kept"


def test_a_stack_without_any_bucket_says_what_to_do(tmp_path: Path) -> None:
    path = fake_pulumi(tmp_path, "echo '{}'")
    with pytest.raises(SettingMissingError, match="--bucket"):
        _ = source(Selector(stack="dev"), PATH=path).bucket_name


def test_one_run_is_asked_for_when_there_are_several(tmp_path: Path) -> None:
    path = fake_pulumi(
        tmp_path,
        f"""echo '{{"bucket": "b", "r2_prefix": {{"main": "{PREFIX}", "w": "{OTHER}"}}}}'""",
    )
    found = source(Selector(stack="dev"), PATH=path)
    with pytest.raises(NoSuchRunError, match=f"--run {PREFIX}"):
        found.choose_one()
    assert source(Selector(stack="dev", run="w"), PATH=path).choose_one().prefix == OTHER


def stack_with_secrets(folder: Path) -> str:
    """A stack set up with `pulumi config set --secret` and nothing in the environment."""
    return fake_pulumi(
        folder,
        """case "$*" in
        *"config get cloudflare:apiToken"*) echo '{"value": "stack-token", "secret": true}';;
        *"config get trainstack:ionetApiKey"*) echo '{"value": "stack-key", "secret": true}';;
        *"config get"*) echo "error: configuration key not found" >&2; exit 1;;
        *config*) echo '{"cloudflare:apiToken": {"secret": true},
            "trainstack:ionetApiKey": {"secret": true},
            "trainstack:cloudflareAccountId": {"value": "the-stacks", "secret": false}}';;
        *export*) echo '{"deployment": {"resources": [{"urn": "a"}, {"urn": "b", "id": "d-1"}]}}';;
        *) echo '{}';; esac""",
    )


def test_keys_that_only_the_stacks_config_holds_are_found(tmp_path: Path) -> None:
    found = source(Selector(stack="prod"), PATH=stack_with_secrets(tmp_path))
    assert (found.cloudflare_token, found.ionet_key) == ("stack-token", "stack-key")
    assert found.secret_config("trainstack:registrySecret") == ""


def test_the_environments_keys_win_as_they_do_for_pulumi_up(tmp_path: Path) -> None:
    environ = {"CLOUDFLARE_API_TOKEN": "rotated", "IOCLOUD_API_KEY": "new"}
    found = source(Selector(stack="prod"), PATH=stack_with_secrets(tmp_path), **environ)
    assert (found.cloudflare_token, found.ionet_key) == ("rotated", "new")


def test_a_stack_that_keeps_its_token_to_itself_is_not_one_without_a_token(tmp_path: Path) -> None:
    path = fake_pulumi(
        tmp_path,
        """case "$*" in *"config get"*) echo 'error: incorrect passphrase' >&2; exit 1;;
        *) echo '{"cloudflare:apiToken": {"secret": true}}';; esac""",
    )
    with pytest.raises(SettingMissingError, match="incorrect passphrase"):
        _ = source(Selector(stack="prod"), PATH=path).cloudflare_token


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (Selector(stack="prod"), "the-stacks"),
        (Selector(), "the-stacks"),
        (Selector(bucket="b", stack="prod"), "the-stacks"),
        (Selector(bucket="b"), "left-in-the-shell"),
    ],
    ids=["a stack", "the selected stack", "its bucket", "any bucket"],
)
def test_a_stacks_account_wins_over_what_the_shell_was_left_with(
    tmp_path: Path, words: Selector, expected: str
) -> None:
    environ = {"CLOUDFLARE_ACCOUNT_ID": "left-in-the-shell", "PATH": stack_with_secrets(tmp_path)}
    found = source(words, **environ)
    assert found.account == expected
    assert found.endpoint == f"https://{expected}.r2.cloudflarestorage.com"


def test_the_token_is_checked_in_the_stacks_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    class Client:
        answers_within_s = 1.0

        def __init__(self, token: str, *, account_id: str, **_: object) -> None:
            asked.append((token, account_id))

        def token_id(self) -> str:
            return "id"

    monkeypatch.setattr("components.r2.cloudflare.Client", Client)
    environ = {"CLOUDFLARE_ACCOUNT_ID": "left-in-the-shell", "PATH": stack_with_secrets(tmp_path)}
    assert source(Selector(stack="prod"), **environ).token_id() == "id"
    assert asked == [("stack-token", "the-stacks")]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://acc.r2.cloudflarestorage.com/b", "https://acc.r2.cloudflarestorage.com"),
        ("https://acc.r2.cloudflarestorage.com/b/", "https://acc.r2.cloudflarestorage.com"),
        ("https://s3.example.org/behind/a/proxy", "https://s3.example.org/behind/a/proxy"),
    ],
)
def test_an_address_as_the_dashboard_shows_it_loses_the_bucket_at_its_end(
    url: str, expected: str
) -> None:
    assert source(R2_ENDPOINT_URL=url).endpoint == expected


def test_a_state_knows_the_ids_of_all_its_resources(tmp_path: Path) -> None:
    found = source(Selector(stack="prod"), PATH=stack_with_secrets(tmp_path))
    assert found.state_ids == frozenset({"d-1"})
