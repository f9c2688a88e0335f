"""ArtifactStore: the R2 bucket, made or adopted and always kept, and the runs' tokens for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.config.keys import MAX_HOURS
from components.config.settings import Settings
from components.r2 import bucket_check
from components.r2.cloudflare import Client, ExistingBucket, secret_access_key
from components.r2.permissions import BUCKET_ITEM_WRITE, bucket_resources

TOKEN_LIFE = timedelta(hours=MAX_HOURS + 24)
"""Covers the longest rental that the config allows, and a day for what comes before it."""


@dataclass(frozen=True, kw_only=True)
class RunCredentials:
    """S3 access of one run to this bucket."""

    access_key_id: Output[str]
    secret_access_key: Output[str]
    expire_on: Output[str]


class ArtifactStore(ComponentResource):
    """The bucket. `found` is the bucket if it exists: see `find_or_make_bucket`."""

    bucket: Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        found: ExistingBucket | None,
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("trainstack:index:ArtifactStore", name, None, opts)
        self._settings = settings
        account_id, bucket = settings.account_id, settings.bucket
        jurisdiction = settings.jurisdiction
        # A bucket is only ever imported: adding `import_` to one that the stack had made itself
        # would replace it, that is, delete what was trained.
        declared = cloudflare.R2Bucket(
            f"{name}-bucket",
            account_id=account_id,
            name=bucket,
            jurisdiction=jurisdiction,
            storage_class=found.storage_class if found else "Standard",
            opts=ResourceOptions(
                parent=self,
                import_=f"{account_id}/{bucket}/{jurisdiction}" if found else None,
                retain_on_delete=True,
                # Whatever somebody made of it stays: R2 is reported to answer 405 to the PATCH by
                # which the provider would change it (Alos-no/Cloudflare.NET pull request 41).
                ignore_changes=["storageClass"],
            ),
        )
        self.bucket = declared.name
        self.register_outputs({"bucket": self.bucket})

    def run_credentials(
        self, name: str, *, token_name: Input[str], opts: ResourceOptions
    ) -> RunCredentials:
        """Declare a token that can read and write this bucket only, and derive its S3 access.

        Another token name makes another token. The expiry is fixed when the token is made. Pulumi
        only makes it: it is revoked with its machine or its run's identity (components/ionet/
        run_tokens.py), whether or not a state knows it, and one that is gone already is no error.
        """
        wanted = self._settings
        token = cloudflare.AccountToken(
            name,
            account_id=wanted.account_id,
            name=token_name,
            expires_on=expiry(datetime.now(UTC)),
            policies=[
                cloudflare.AccountTokenPolicyArgs(
                    effect="allow",
                    permission_groups=[
                        cloudflare.AccountTokenPolicyPermissionGroupArgs(id=BUCKET_ITEM_WRITE)
                    ],
                    resources=bucket_resources(
                        wanted.account_id,
                        jurisdiction=wanted.jurisdiction,
                        bucket=wanted.bucket,
                    ),
                )
            ],
            opts=ResourceOptions.merge(
                opts,
                ResourceOptions(
                    ignore_changes=["expiresOn"],
                    replace_on_changes=["name"],
                    retain_on_delete=True,
                    depends_on=[self],
                ),
            ),
        )
        return RunCredentials(
            access_key_id=token.id,
            secret_access_key=Output.secret(token.value.apply(secret_access_key)),
            expire_on=token.expires_on.apply(lambda moment: moment or ""),
        )


def expiry(now: datetime) -> str:
    """Return the expiry of a token made now, as Cloudflare writes it."""
    return (now + TOKEN_LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_or_make_bucket(
    client: Client, name: str, *, jurisdiction: str, dry_run: bool
) -> ExistingBucket | None:
    """Return the bucket, made if it is missing; in a preview None stands for "will be made".

    Nothing is made that the installed provider would refuse. It is asked in a preview as well: the
    engine would ask it there too, while the program goes on and ends in errors of its own.
    """
    found = client.find_bucket(name, jurisdiction=jurisdiction)
    if found:
        return found
    inputs = {"accountId": client.account_id, "name": name, "jurisdiction": jurisdiction}
    bucket_check.require_taken({**inputs, "storageClass": "Standard"})
    return None if dry_run else client.make_bucket(name, jurisdiction=jurisdiction)
