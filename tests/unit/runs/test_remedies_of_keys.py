"""A key, an address, a stack or a program that is missing: what the message says to set is set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runs.errors import EXIT_UNREACHABLE, EXIT_USAGE
from tests.provider.fake_r2 import FakeR2
from tests.unit.runs.pulumi_double import PulumiDouble
from tests.unit.runs.test_checks import server
from tests.unit.runs.test_remedies import MAIN, PREFIX, run
from tests.unit.runs.typed import Ended, typed

ACCOUNT, ANOTHER = "a" * 32, "b" * 32
NO_KEYS = {"R2_ACCESS_KEY_ID": "", "R2_SECRET_ACCESS_KEY": "", "CLOUDFLARE_API_TOKEN": ""}
OUTPUTS = {"bucket": "b", "r2_prefix": PREFIX}


@pytest.fixture
def pulumi(tmp_path: Path) -> PulumiDouble:
    return PulumiDouble(tmp_path)


@pytest.fixture
def r2() -> Iterator[FakeR2]:
    found = FakeR2()
    yield found
    found.stop()


def looked(*words: str, **environ: str) -> Ended:
    return typed(run(), "status", *words, environ=environ)


def refused(said: str, *words: str, **environ: str) -> str:
    """Return what a look says that is refused."""
    ended = looked(*words, **environ)
    assert ended.code in (EXIT_USAGE, EXIT_UNREACHABLE), ended.err
    assert said in ended.err
    return ended.err


def answered(*words: str, **environ: str) -> None:
    ended = looked(*words, **environ)
    assert ended.code == 0, ended.err


def test_without_pulumi_a_bucket_that_is_named_does() -> None:
    (option,) = re.findall(r"(--bucket) NAME", refused("not on PATH"))
    answered(option, "b")


def other_program(folder: Path) -> str:
    program = folder / "bin" / "pulumi"
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    return f"{program.parent}:/usr/bin:/bin"


def test_a_program_that_is_no_pulumi_gives_way_to_the_one_before_it_on_the_path(
    tmp_path: Path, pulumi: PulumiDouble
) -> None:
    pulumi.stack(outputs=OUTPUTS)
    other = other_program(tmp_path)
    refused("Is the first pulumi on PATH Pulumi's CLI?", "--stack", "dev", PATH=other)
    answered("--stack", "dev", PATH=f"{pulumi.path}:{other}")


@pytest.mark.parametrize("words", [(), ("--stack", "dve")], ids=["none selected", "mistyped"])
def test_without_a_stack_one_is_named_or_a_bucket(
    pulumi: PulumiDouble, words: tuple[str, ...]
) -> None:
    pulumi.stack(outputs=OUTPUTS)
    said = refused("Select a stack", *words, PATH=pulumi.path)
    (stack,) = re.findall(r"\((--stack \w+)\)", said)
    answered(*stack.split(), PATH=pulumi.path)
    answered(*re.findall(r"(--bucket) NAME", said), "b", PATH=pulumi.path)


def test_a_stack_that_tells_no_bucket_gives_way_to_one_that_is_named(
    pulumi: PulumiDouble,
) -> None:
    pulumi.stack()
    pulumi.select("dev")
    said = refused("no bucket: the stack has no outputs", PATH=pulumi.path)
    answered(*re.findall(r"(--bucket) NAME", said), "b", PATH=pulumi.path)
    assert "Bring the stack up" in said
    pulumi.stack(outputs=OUTPUTS)  # what `pulumi up` leaves
    answered(PATH=pulumi.path)


@pytest.mark.parametrize(
    "values",
    [
        {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT},
        {"R2_ENDPOINT_URL": "http://127.0.0.1:9"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_an_account_is_told_by_either_variable_that_is_named(values: dict[str, str]) -> None:
    said = refused("no Cloudflare account", *MAIN, R2_ENDPOINT_URL="")
    assert all(name in said for name in values)
    answered(*MAIN, **{"R2_ENDPOINT_URL": "", **values})


@pytest.mark.parametrize(
    "environ",
    [
        {"R2_ENDPOINT_URL": "", "CLOUDFLARE_ACCOUNT_ID": ACCOUNT},
        {"R2_ENDPOINT_URL": "http://127.0.0.1:9", "CLOUDFLARE_ACCOUNT_ID": ANOTHER},
    ],
    ids=["by the account", "by the address"],
)
def test_an_address_of_another_account_is_read_with_the_variable_that_is_told(
    environ: dict[str, str],
) -> None:
    """CLOUDFLARE_ACCOUNT_ID, which was told too, changed nothing beside R2_ENDPOINT_URL."""
    pasted = f"https://{ANOTHER}.r2.cloudflarestorage.com/b/{PREFIX}/"
    said = refused("the address that was given", "--prefix", pasted, **environ)
    (setting,) = re.findall(r"Set (\S+)", said)
    name, _, value = setting.partition("=")
    answered("--prefix", pasted, **{**environ, name: value})


def token_of_the_environment(_: PulumiDouble, r2: FakeR2) -> dict[str, str]:
    return {"CLOUDFLARE_API_TOKEN": "token"}


def pair_of_keys(_: PulumiDouble, r2: FakeR2) -> dict[str, str]:
    return {"R2_ACCESS_KEY_ID": "a", "R2_SECRET_ACCESS_KEY": "s"}


def stack_with_a_token(pulumi: PulumiDouble, _: FakeR2) -> dict[str, str]:
    pulumi.stack("prod", secrets={"cloudflare:apiToken": "token"})
    return {"TRAINSTACK_STACK": "prod", "PATH": pulumi.path}


@pytest.mark.parametrize("remedy", [token_of_the_environment, pair_of_keys, stack_with_a_token])
def test_each_key_that_is_named_opens_the_bucket(
    pulumi: PulumiDouble, r2: FakeR2, remedy: Callable[[PulumiDouble, FakeR2], dict[str, str]]
) -> None:
    start = {
        **NO_KEYS,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CLOUDFLARE_BASE_URL": r2.cloudflare_url,
    }
    said = refused("no key for the bucket", *MAIN, **start)
    changes = remedy(pulumi, r2)
    assert all(name in said for name in changes if name not in ("PATH", "CLOUDFLARE_API_TOKEN"))
    answered(*MAIN, **{**start, **changes})


def test_a_stack_with_a_key_opens_its_own_bucket(pulumi: PulumiDouble, r2: FakeR2) -> None:
    pulumi.stack("none", outputs=OUTPUTS)
    pulumi.stack("prod", outputs=OUTPUTS, secrets={"cloudflare:apiToken": "token"})
    pulumi.select("none")
    environ = {
        **NO_KEYS,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CLOUDFLARE_BASE_URL": r2.cloudflare_url,
        "PATH": pulumi.path,
    }
    said = refused("no key for the bucket", **environ)
    answered(*re.findall(r"name the stack \((--stack)\)", said), "prod", **environ)


@pytest.mark.parametrize("by_stack", [True, False])
def test_an_accounts_token_is_taken_once_its_account_is_told(
    pulumi: PulumiDouble, by_stack: bool
) -> None:
    def verify(path: str, _: dict[str, str]) -> tuple[int, dict[str, str], object]:
        if f"/accounts/{ACCOUNT}/tokens/verify" in path:
            return 200, {}, {"success": True, "result": {"id": "t", "status": "active"}}
        return 401, {}, {"success": False, "errors": [{"code": 1000, "message": "no"}]}

    pulumi.stack("dev", outputs=OUTPUTS, config={"trainstack:cloudflareAccountId": ACCOUNT})
    with server(verify) as url:
        environ = {**NO_KEYS, "CLOUDFLARE_API_TOKEN": "token", "CLOUDFLARE_BASE_URL": url}
        said = refused("An account's token needs its account", *MAIN, **environ)
        if by_stack:
            assert "say --stack" in said
            answered("--stack", "dev", **{**environ, "PATH": pulumi.path})
        else:
            (name,) = re.findall(r"set (CLOUDFLARE_\w+)", said)
            answered(*MAIN, **{**environ, name: ACCOUNT})


def test_a_cloudflare_that_does_not_answer_is_one_that_is_started(r2: FakeR2) -> None:
    """What `python -m localcloud start` starts is tests/e2e/test_printed_steps.py's."""
    environ = {**NO_KEYS, "CLOUDFLARE_API_TOKEN": "token", "CLOUDFLARE_ACCOUNT_ID": ACCOUNT}
    nobody = "http://127.0.0.1:9/client/v4"
    said = refused("no answer from", *MAIN, **environ, CLOUDFLARE_BASE_URL=nobody)
    assert "python -m localcloud start" in said
    answered(*MAIN, **environ, CLOUDFLARE_BASE_URL=r2.cloudflare_url)
