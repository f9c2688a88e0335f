"""The check before a machine is rented: bucket, image, files, W&B, with what a run gets.

Three outcomes a check: passed; refused, which ends the update before anything is rented; unknown,
which never blocks and says what was not checked. Run as `python -m components.preflight`; all that
it needs is in the environment.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from components import registry, upstream_check
from components.config.endpoints import entered, flaws
from components.config.one_run import RUN_OF_SWEEP, with_own_keys
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import s3_client
from container.contract.clock import moment
from container.contract.environment import NAMES, NO_WANDB_RUN
from container.contract.recipe import load_recipe
from container.contract.redacted import without_secrets
from container.contract.upstream import fetched
from container.transport import wandb_login
from container.transport.r2 import clock_problem, kind_of, why

PROPAGATION_S = 90.0
"""A new token "may take up to a minute" to work everywhere, says Cloudflare."""

PAUSE_S = 2.0

HUB_MIRROR = "HUB_MIRROR"
"""Not the libraries' own name: what the operator's shell says of the hub is not the machine's."""

Outcome = Literal["passed", "refused", "unknown"]

_SAID = "preflight: {outcome}: {text}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one check, and a sentence."""

    outcome: Outcome
    text: str


def main(env: Mapping[str, str] = os.environ) -> int:
    """Run all checks; return 1 when one is refused."""
    env = entered(env)
    findings = [Finding(outcome="refused", text=wrong) for wrong in flaws(env)]
    findings = findings or _asked(env)
    for finding in findings:
        stream = sys.stderr if finding.outcome == "refused" else sys.stdout
        text = with_own_keys(without_secrets(finding.text), run=env.get(RUN_OF_SWEEP, ""))
        print(_SAID.format(outcome=finding.outcome, text=text), file=stream)
    return 1 if any(finding.outcome == "refused" for finding in findings) else 0


def unknown_in(stdout: str) -> list[str]:
    """Return what a preflight that let the update go on could not find out, a line each.

    The command provider shows what a command says while it runs, and keeps it from the reader
    after (its `logging` only says of which stream).
    """
    begin = _SAID.format(outcome="unknown", text="")
    return [line for line in stdout.splitlines() if line.startswith(begin)]


def _asked(env: Mapping[str, str]) -> list[Finding]:
    asked = [check_bucket(env), check_image(env), *check_upstream(env)]
    return [*asked, check_wandb(env)] if env.get(NAMES["wandb_api_key"]) else asked


def check_bucket(
    env: Mapping[str, str],
    *,
    wait_s: float = PROPAGATION_S,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Finding:
    """Write, read, compare and delete an object with the run's own credentials."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = env[NAMES["bucket"]], env[NAMES["prefix"]]
    expire_on = moment(env.get("CREDENTIALS_EXPIRE_ON", ""))
    if expire_on and expire_on < datetime.now(UTC):
        # As those of a finished run do. No rental: ionet/credentials.py refuses.
        return Finding(
            outcome="unknown",
            text=f"bucket {bucket} was not asked: the run's credentials expired at "
            f"{env['CREDENTIALS_EXPIRE_ON']}. Nothing is rented with them",
        )
    started = now()
    tries = 0
    while True:
        tries += 1
        try:
            _round_trip(env, key=f"{prefix}/preflight-{secrets.token_hex(4)}")
        except ClientError as error:
            reason = why(error)
            refused = kind_of(error) in ("refused", "no bucket")
            if problem := clock_problem(error):
                text = f"bucket {bucket} takes nothing: {problem}. Nothing was rented."
                return Finding(outcome="refused", text=text)
        except BotoCoreError as error:
            reason, refused = why(error), False
        except _DiffersError:
            return Finding(
                outcome="refused", text=f"bucket {bucket} gave back other bytes than were written."
            )
        else:
            waited = f", after {now() - started:.0f} s" if tries > 1 else ""
            return Finding(
                outcome="passed",
                text=f"bucket {bucket}: wrote, read, compared and deleted an object{waited}",
            )
        if now() - started >= wait_s:
            break
        sleep(PAUSE_S)
    if refused:
        return Finding(
            outcome="refused",
            text=f"bucket {bucket} refused the run's own credentials for {wait_s:.0f} s "
            f"({reason}). Nothing was rented. Check trainstack:bucket and "
            "trainstack:jurisdiction; if the run's token was deleted at Cloudflare, raise "
            "trainstack:renew: the next `pulumi up` makes "
            "another, and goes on from the newest checkpoint.",
        )
    return Finding(
        outcome="refused",
        text=f"bucket {bucket} at {env[NAMES['endpoint']]} could not be used for {wait_s:.0f} s "
        f"({reason}). "
        "Nothing was rented. Check the network and trainstack:cloudflareAccountId, then try again.",
    )


def check_image(env: Mapping[str, str]) -> Finding:
    """Ask the registry for the image's manifest, as the rented machine will."""
    image = env.get("IMAGE", "")
    if "@" not in image:
        return Finding(outcome="unknown", text="the image has no digest; it was not looked up")
    lookup = registry.find_manifest(
        image, username=env.get("REGISTRY_USERNAME", ""), secret=env.get("REGISTRY_SECRET", "")
    )
    if lookup.outcome == "present":
        return Finding(outcome="passed", text=f"image {image} is in its registry")
    if lookup.outcome == "absent":
        return Finding(
            outcome="refused",
            text=f"image {image}: {lookup.why}. Nothing was rented. Check "
            "trainstack:imageRepository and "
            "the registry's username and secret.",
        )
    return Finding(outcome="unknown", text=f"image {image} was not looked up: {lookup.why}")


def check_upstream(env: Mapping[str, str]) -> list[Finding]:
    """Ask for what the machine will fetch on paid time, where it will fetch it."""
    recipe = env.get(NAMES["recipe"], "")
    if not recipe:
        return []
    wanted = fetched(load_recipe(recipe).nanochat)
    answers = upstream_check.ask_all(
        wanted, mirror=env.get(NAMES["mirror_url"], ""), hub_mirror=env.get(HUB_MIRROR, "")
    )
    return [_of_upstream(one) for one in answers]


def _of_upstream(answer: upstream_check.Answer) -> Finding:
    if answer.outcome == "there":
        return Finding(outcome="passed", text=answer.what)
    if answer.outcome == "unknown":
        text = f"{answer.what}. The rented machine fetches it by its own network"
        return Finding(outcome="unknown", text=text)
    if answer.blocks:
        text = f"{answer.what}. Nothing was rented. {answer.remedy}."
        return Finding(outcome="refused", text=text)
    return Finding(outcome="unknown", text=f"{answer.what}. {answer.remedy}")


def check_wandb(env: Mapping[str, str]) -> Finding:
    """Ask W&B whether it takes the key that the run reports with."""
    answer = wandb_login.ask(env[NAMES["wandb_api_key"]], env=env)
    if answer.outcome == "allowed":
        return Finding(outcome="passed", text="W&B takes the key")
    if answer.outcome == "refused":
        return Finding(
            outcome="refused",
            text=f"W&B refused the key: {answer.why}. Nothing was rented. Set another, `pulumi "
            "config set --secret trainstack:wandbApiKey`, or set "
            f"trainstack:wandbRun to {NO_WANDB_RUN}, which reports nothing.",
        )
    return Finding(
        outcome="unknown",
        text=f"W&B's key was not checked: {answer.why}. Training does not depend on it: offline, "
        "its files come with the run",
    )


class _DiffersError(Exception):
    pass


def _round_trip(env: Mapping[str, str], *, key: str) -> None:
    access = S3Access(
        access_key_id=env[NAMES["access_key_id"]], secret_access_key=env[NAMES["secret_access_key"]]
    )
    client = s3_client(access, endpoint=env[NAMES["endpoint"]])
    written = secrets.token_bytes(64)
    client.put_object(Bucket=env[NAMES["bucket"]], Key=key, Body=written)
    read = client.get_object(Bucket=env[NAMES["bucket"]], Key=key)["Body"].read()
    client.delete_object(Bucket=env[NAMES["bucket"]], Key=key)
    if read != written:
        raise _DiffersError


if __name__ == "__main__":
    raise SystemExit(main())
