"""Where to look: bucket, run prefixes and addresses, from stack outputs or from the command line.

Asks the Pulumi CLI and Cloudflare; reads nothing of a run (bucket.py) and prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from components.config.endpoints import (
    CLOUDFLARE_TOKEN,
    IONET_KEY,
    address_problems,
    entered,
    flaws,
    ionet_key,
)
from components.r2 import cloudflare
from container.contract.pasted import cleaned, flaw
from container.transport.network import network_problems
from container.transport.r2 import TERMINAL, endpoint_of, make_client
from runs.errors import NoSuchRunError, RunsError, SettingMissingError
from runs.source.bucket import ReadOnlyBucket
from runs.source.run_lookup import RunLookup
from runs.source.run_names import composes
from runs.source.selector import Selector
from runs.source.stack import Target, of_run, pick, pulumi_json, runs_of_config, targets_of
from runs.source.token_check import verified_id

VERIFY_READ_S = 15.0
VERIFY_RETRY_S = 3.0  # a person waits


class Source:
    """Where one command looks; asks Pulumi and Cloudflare at most once each, when needed."""

    def __init__(self, selector: Selector, *, environ: Mapping[str, str] | None = None) -> None:
        self.selector = selector
        self.environ: Mapping[str, str] = entered(os.environ if environ is None else environ)
        problems = [
            *flaws(self.environ),
            *address_problems(self.environ),
            *network_problems(self.environ),
        ]
        if problems:
            raise SettingMissingError("\n".join(problems))

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The stack outputs, secrets masked; empty for a destroyed stack and with `--bucket`."""
        if self.selector.bucket:
            return {}
        return pulumi_json(["stack", "output", "--json"], self.selector, self.environ)

    @cached_property
    def config(self) -> dict[str, str]:
        """The stack's plain config values by name without namespace.

        With `--bucket` no stack is needed; where there is one, it gives account and jurisdiction.
        """
        if isinstance(self._config_entries, RunsError):
            if self.selector.bucket:
                return {}
            raise self._config_entries
        return {
            name.removeprefix("trainstack:"): cleaned(str(entry.get("value", "")))
            for name, entry in self._config_entries.items()
            if name.startswith("trainstack:") and not entry.get("secret")
        }

    @cached_property
    def _config_entries(self) -> dict[str, Any] | SettingMissingError:
        """What `pulumi config` lists, by full name, secrets without their value; or why not."""
        try:
            return pulumi_json(["config", "--json"], self.selector, self.environ)
        except SettingMissingError as error:
            return error

    @cached_property
    def state_ids(self) -> frozenset[str]:
        """The ids of everything in the stack's state, an interrupted `up` included.

        The outputs do not do: a `pulumi up` that failed has rented machines that they do not name.
        """
        resources = self.read_state()
        return frozenset(str(resource["id"]) for resource in resources if resource.get("id"))

    def read_state(self) -> list[dict[str, Any]]:
        """Return the resources of the stack's state as they are now, secrets encrypted."""
        state = pulumi_json(["stack", "export"], self.selector, self.environ)
        deployment: Any = state.get("deployment") or {}
        return deployment.get("resources") or []

    @cached_property
    def bucket_name(self) -> str:
        """The bucket, from `--bucket`, the stack's outputs, or the config of a destroyed stack."""
        name, of_config = self.selector.bucket, ""
        if not name:
            name = str(self.outputs.get("bucket") or self.config.get("bucket", ""))
        elif self.selector.stack and not self.selector.stack_from_environment:
            of_config = self.config.get("bucket", "")
        if of_config not in ("", name):
            raise SettingMissingError(
                f"--bucket {name} and --stack {self.selector.stack} contradict each other: that "
                f"stack's bucket is {of_config}.\nLeave one of them out."
            )
        if not name:
            raise SettingMissingError(
                "no bucket: the stack has no outputs and its config names none.\n"
                "Bring the stack up, or name the bucket: --bucket NAME"
            )
        return name

    @cached_property
    def targets(self) -> list[Target]:
        """The runs that the stack declares now; none with `--bucket`."""
        return targets_of(self.outputs, name_of=self._name_of)

    @cached_property
    def bucket(self) -> ReadOnlyBucket:
        """The bucket, opened with the operator's own key."""
        endpoint = self.endpoint
        if self.selector.host not in ("", urlsplit(endpoint).netloc):
            raise SettingMissingError(
                f"the address that was given is of {self.selector.host}, and the keys here are of "
                f"{urlsplit(endpoint).netloc}.\nSet R2_ENDPOINT_URL=https://{self.selector.host} "
                "for this command, and that account's keys."
            )
        client = make_client(
            endpoint=endpoint,
            access_key_id=self.s3_access.access_key_id,
            secret_access_key=self.s3_access.secret_access_key,
            limits=TERMINAL,
        )
        return ReadOnlyBucket(client, name=self.bucket_name, endpoint=endpoint)

    @cached_property
    def endpoint(self) -> str:
        """The S3 address: R2_ENDPOINT_URL, or what account and jurisdiction give.

        Cloudflare's dashboard shows the address with the bucket at its end, which is taken off.
        """
        if url := self.environ.get("R2_ENDPOINT_URL", "").rstrip("/"):
            parts = urlsplit(url)
            if parts.path and parts.path == f"/{self.bucket_name}":
                return urlunsplit(parts._replace(path=""))
            return url
        return endpoint_of(self.account, jurisdiction=self.config.get("jurisdiction", ""))

    @cached_property
    def account(self) -> str:
        """The Cloudflare account id: the stack's own, else CLOUDFLARE_ACCOUNT_ID."""
        account = self._known_account
        if not account:
            raise SettingMissingError(
                "no Cloudflare account: no stack's config names one.\n"
                "Set CLOUDFLARE_ACCOUNT_ID (or R2_ENDPOINT_URL with R2_ACCESS_KEY_ID and "
                "R2_SECRET_ACCESS_KEY)."
            )
        return account

    @property
    def _known_account(self) -> str:
        """The account, or "".

        A stack's bucket is in the account that its config names, whatever the shell was left with
        by other work. For `--bucket` alone the shell is the more explicit one, and where no stack
        tells anything the only one.
        """
        shell = self.environ.get("CLOUDFLARE_ACCOUNT_ID", "")
        unknown = isinstance(self._config_entries, RunsError)
        if shell and (unknown or (self.selector.bucket and not self.selector.stack)):
            return shell
        return self.config.get("cloudflareAccountId", "") or shell

    @cached_property
    def cloudflare_token(self) -> str:
        """The Cloudflare token, or "": the environment's, else the stack's, as for `pulumi up`."""
        return self.environ.get("CLOUDFLARE_API_TOKEN") or self.secret_config(CLOUDFLARE_TOKEN)

    @cached_property
    def ionet_key(self) -> str:
        """The io.net key, or "": the environment's, else the stack's, as for `pulumi up`."""
        return ionet_key(self.environ).value or self.secret_config(IONET_KEY)

    def choose(self) -> list[Target]:
        """Return the runs that the command is about; NoSuchRunError says what there is instead.

        Without stack outputs: the runs in the bucket (of this stack, when one is named). A run
        that is returned exists: the stack declares it, or the bucket or the ledger knows it.
        """
        if self.selector.prefix:
            prefix = self._within(self.selector.prefix)
            of_stack = [target for target in self.targets if target.prefix == prefix]
            return of_stack or [self._lookup.of_prefix(prefix, declared=self.targets)]
        wanted = self._within(self.selector.run)
        of_stack = pick(self.targets, wanted)
        return of_stack or self._lookup.of_run(wanted, declared=self.targets)

    def choose_one(self) -> Target:
        """Return the one run that the command is about; NoSuchRunError when it may be several."""
        found = self.choose()
        if len(found) == 1:
            return found[0]
        names = "\n".join(f"  --run {target.prefix}" for target in found)
        raise NoSuchRunError(f"which of these {len(found)} runs?\n{names}")

    def access_token(self, run: str) -> str:
        """Return the bearer token of a run's chat; the one place that asks Pulumi for a secret."""
        words = ["stack", "output", "--json", "--show-secrets"]
        tokens = pulumi_json(words, self.selector, self.environ).get("access_token")
        token = cleaned(of_run(tokens, run))
        if not token:
            raise SettingMissingError(
                f"the stack has no output access_token for run {run}: bring the stack up first."
            )
        return token

    def secret_config(self, name: str) -> str:
        """Return a secret config value of the stack by its full name; never print it.

        "" when there is no stack, or its config lists no such name. Raises SettingMissingError when
        it is listed and cannot be had, as with a wrong passphrase.
        """
        if self.selector.bucket and not self.selector.stack:
            return ""
        entries = self._config_entries
        if isinstance(entries, RunsError) or name not in entries:
            return ""
        entry = pulumi_json(["config", "get", name, "--json"], self.selector, self.environ)
        value = cleaned(str(entry.get("value", "")))
        if wrong := flaw(name, value, lines=name.endswith("Secret")):
            raise SettingMissingError(f"{wrong}.")
        return value

    def _within(self, said: str) -> str:
        if "/" not in said:
            return said
        return self.selector.within(said, bucket=self.bucket_name)

    @cached_property
    def _lookup(self) -> RunLookup:
        return RunLookup(self.selector, bucket=self.bucket)

    def _name_of(self, prefix: str) -> str:
        """Name a stack's single run, whose outputs do not.

        The config names the runs that there may be, and one composes the prefix.
        """
        try:
            for run in runs_of_config(self.config):
                if composes(prefix, run=run, stack=self.selector.stack_name):
                    return run
            return self._lookup.name_of(prefix)
        except RunsError:  # no key for the bucket, which a command may not need
            return prefix

    @cached_property
    def s3_access(self) -> cloudflare.S3Access:
        """The operator's own key of the bucket: R2's variables, else made of the token."""
        access_key = self.environ.get("R2_ACCESS_KEY_ID", "")
        secret = self.environ.get("R2_SECRET_ACCESS_KEY", "")
        if access_key and secret:
            return cloudflare.S3Access(access_key_id=access_key, secret_access_key=secret)
        token = self.cloudflare_token
        if not token:
            raise SettingMissingError(
                "no key for the bucket: CLOUDFLARE_API_TOKEN is not set, nor is "
                f"{CLOUDFLARE_TOKEN} in a stack's config.\n"
                "In the local world: source .local/env. Else set your Cloudflare token, name the "
                f"stack ({self._how_to_name_a_stack}), or set R2_ACCESS_KEY_ID and "
                "R2_SECRET_ACCESS_KEY."
            )
        return cloudflare.S3Access(
            access_key_id=self.token_id(), secret_access_key=cloudflare.secret_access_key(token)
        )

    @property
    def _how_to_name_a_stack(self) -> str:
        return "TRAINSTACK_STACK, beside --bucket" if self.selector.bucket else "--stack"

    def token_id(self) -> str:
        """Return the id of the Cloudflare token, which is its S3 access key."""
        return verified_id(
            self.cloudflare_client(), url=self.cloudflare_url, account=self._known_account
        )

    def cloudflare_client(self) -> cloudflare.Client:
        """Return a client of Cloudflare's API with the operator's token."""
        return cloudflare.Client(
            self.cloudflare_token,
            account_id=self._known_account,
            base_url=self.cloudflare_url,
            retry_for_s=VERIFY_RETRY_S,
            read_timeout_s=VERIFY_READ_S,
        )

    @property
    def cloudflare_url(self) -> str:
        """The address of Cloudflare's API in this world."""
        base_url = self.environ.get("CLOUDFLARE_BASE_URL") or cloudflare.DEFAULT_BASE_URL
        return base_url.rstrip("/")
