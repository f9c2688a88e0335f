"""A stand-in for the cloudflare plugin 6.23.1: `R2Bucket` and `AccountToken`, over HTTP.

It sends what the real one sends (paths, headers, bodies) to CLOUDFLARE_BASE_URL. It differs in
that it retries for seconds, not minutes, so that a local cloud that is down is soon told.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from localcloud.pulumi.plugins.cloudflare_http import CloudflareApi
from localcloud.pulumi.plugins.resource import (
    Call,
    InputError,
    PluginError,
    Properties,
    Resource,
    Shape,
)
from localcloud.pulumi.plugins.serve import serve
from localcloud.pulumi.plugins.standin import StandIn

VERSION = "6.23.1"
JURISDICTIONS = ("default", "eu", "fedramp", "us")
"""`us` since 6.23; versions before refuse it."""

META = {"__meta": '{"schema_version":"501"}'}
"""The official plugin keeps it beside a token, and cannot read a state without it."""


class R2Bucket(Resource):
    """A bucket. Deleting it fails while it holds objects, as it does at Cloudflare."""

    type: ClassVar[str] = "cloudflare:index/r2Bucket:R2Bucket"
    inputs: ClassVar[Mapping[str, Shape]] = {
        "accountId": None,
        "name": None,
        "jurisdiction": None,
        "location": None,
        "storageClass": None,
    }
    required: ClassVar[frozenset[str]] = frozenset({"accountId", "name"})
    filled_in: ClassVar[frozenset[str]] = frozenset({"jurisdiction", "location", "storageClass"})
    replaces: ClassVar[frozenset[str]] = frozenset({"accountId", "name"})

    def __init__(self, api: CloudflareApi) -> None:
        self._api = api

    def check(self, call: Call, inputs: Properties) -> Properties:
        chosen = inputs.get("jurisdiction", "default")
        if isinstance(chosen, str) and chosen not in JURISDICTIONS:
            known = ", ".join(f'"{one}"' for one in JURISDICTIONS)
            raise InputError(f"jurisdiction must be one of: {known}", key="jurisdiction")
        return inputs

    def compared(self, key: str, old: Any, new: Any) -> tuple[Any, Any]:
        # The real plugin plans the stored place whatever the program asks for.
        return (None, None) if key == "location" else (old, new)

    def preview(self, inputs: Properties) -> Properties:
        return {
            "jurisdiction": inputs.get("jurisdiction", "default"),
            "storageClass": inputs.get("storageClass", "Standard"),
        }

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        body = {"name": inputs["name"], "storageClass": inputs.get("storageClass", "Standard")}
        if "location" in inputs:
            body["locationHint"] = inputs["location"]
        made = self._api.call(
            "POST",
            f"/accounts/{inputs['accountId']}/r2/buckets",
            body=body,
            headers=_jurisdiction(inputs),
        )
        return inputs["name"], _bucket(made, inputs)

    def read(self, call: Call, id_: str, state: Properties) -> tuple[str, Properties] | None:
        if not state:
            parts = id_.split("/")
            if len(parts) != 3:
                raise PluginError(
                    f"A bucket is imported as <account_id>/<bucket_name>/<jurisdiction>, "
                    f"not as {id_}."
                )
            state = dict(zip(("accountId", "name", "jurisdiction"), parts, strict=True))
        found = self._api.find(_bucket_path(state), headers=_jurisdiction(state))
        return None if found is None else (state["name"], _bucket(found, state))

    def update(self, call: Call, id_: str, old: Properties, new: Properties) -> Properties:
        wanted = new.get("storageClass", old["storageClass"])
        headers = {**_jurisdiction(new), "cf-r2-storage-class": wanted}
        changed = self._api.call("PATCH", _bucket_path(new), headers=headers)
        return _bucket({**changed, "storage_class": wanted}, {**old, **new})

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        self._api.call("DELETE", _bucket_path(state), headers=_jurisdiction(state))


class AccountToken(Resource):
    """An API token of an account. Its value is told once, when it is made."""

    type: ClassVar[str] = "cloudflare:index/accountToken:AccountToken"
    inputs: ClassVar[Mapping[str, Shape]] = {
        "accountId": None,
        "name": None,
        "policies": [{"effect": None, "permissionGroups": [{"id": None}], "resources": None}],
        "condition": {"requestIp": {"ins": None, "notIns": None}},
        "expiresOn": None,
        "notBefore": None,
        "status": None,
    }
    required: ClassVar[frozenset[str]] = frozenset({"accountId", "name", "policies"})
    filled_in: ClassVar[frozenset[str]] = frozenset({"status"})
    replaces: ClassVar[frozenset[str]] = frozenset({"accountId"})
    secrets: ClassVar[frozenset[str]] = frozenset({"value"})
    unsettled: ClassVar[frozenset[str]] = frozenset({"modifiedOn"})

    def __init__(self, api: CloudflareApi) -> None:
        self._api = api

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        path = f"/accounts/{inputs['accountId']}/tokens"
        made = self._api.call("POST", path, body=_token_body(inputs))
        return made["id"], {**_token(made, inputs), **META, "value": made["value"]}

    def read(self, call: Call, id_: str, state: Properties) -> tuple[str, Properties] | None:
        if not state:
            account, _, id_ = id_.partition("/")
            if not id_:
                raise PluginError("A token is imported as <account_id>/<token_id>.")
            state = {"accountId": account, **META}
        found = self._api.find(f"/accounts/{state['accountId']}/tokens/{id_}")
        if found is None:
            return None
        if found.get("status") in {"expired", "revoked (exposed)"}:
            call.log(f"The token {id_} is {found['status']}; the next up makes one.", warning=True)
            return None
        # A state of before there was a mark gets none: a refresh is to change nothing.
        return id_, {**_token(found, state), **{k: state[k] for k in META.keys() & state.keys()}}

    def update(self, call: Call, id_: str, old: Properties, new: Properties) -> Properties:
        path = f"/accounts/{new['accountId']}/tokens/{id_}"
        changed = self._api.call("PUT", path, body=_token_body(new))
        return {**_token(changed, new), **META, "value": old.get("value")}

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        self._api.call("DELETE", f"/accounts/{state['accountId']}/tokens/{id_}")


def _jurisdiction(values: Properties) -> dict[str, str]:
    return {"cf-r2-jurisdiction": values.get("jurisdiction", "default")}


def _bucket_path(values: Properties) -> str:
    return f"/accounts/{values['accountId']}/r2/buckets/{values['name']}"


def _bucket(answer: dict[str, Any], values: Properties) -> Properties:
    return {
        "accountId": values["accountId"],
        "name": values["name"],
        "jurisdiction": values.get("jurisdiction", "default"),
        "storageClass": answer.get("storage_class", "Standard"),
        "location": answer.get("location"),
        "creationDate": answer.get("creation_date"),
    }


def _token_body(inputs: Properties) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": inputs["name"],
        "policies": [
            {
                "effect": policy["effect"],
                "permission_groups": [{"id": g["id"]} for g in policy["permissionGroups"]],
                "resources": _resources(policy["resources"]),
            }
            for policy in inputs["policies"]
        ],
    }
    if (address := inputs.get("condition", {}).get("requestIp")) is not None:
        lists = {"in": address.get("ins"), "not_in": address.get("notIns")}
        body["condition"] = {"request_ip": {k: v for k, v in lists.items() if v is not None}}
    for key, name in (("expiresOn", "expires_on"), ("notBefore", "not_before")):
        if key in inputs:
            body[name] = inputs[key]
    if "status" in inputs:
        body["status"] = inputs["status"]
    return body


def _resources(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PluginError(f"policies: resources is not JSON ({error}).") from error


def _token(answer: dict[str, Any], values: Properties) -> Properties:
    outputs: Properties = {
        "accountId": values["accountId"],
        "name": answer["name"],
        "policies": [_policy(policy) for policy in answer.get("policies", [])],
        "status": answer.get("status"),
        "issuedOn": answer.get("issued_on"),
        "modifiedOn": answer.get("modified_on"),
        "lastUsedOn": answer.get("last_used_on"),
        "expiresOn": answer.get("expires_on"),
        "notBefore": answer.get("not_before"),
    }
    if address := (answer.get("condition") or {}).get("request_ip"):
        lists = {"ins": address.get("in"), "notIns": address.get("not_in")}
        outputs["condition"] = {"requestIp": {k: v for k, v in lists.items() if v is not None}}
    return outputs


def _policy(answer: dict[str, Any]) -> Properties:
    # The real plugin keeps the answer's very text, which Cloudflare writes without spaces.
    return {
        "effect": answer["effect"],
        "permissionGroups": [{"id": group["id"]} for group in answer["permission_groups"]],
        "resources": json.dumps(answer["resources"], separators=(",", ":")),
    }


def main() -> None:
    """Serve the engine."""
    api = CloudflareApi()
    keys = frozenset({"apiToken", "baseUrl", "userAgentOperatorSuffix"})
    stand_in = StandIn("cloudflare", [R2Bucket(api), AccountToken(api)], config_keys=keys)
    api.config = stand_in.config
    serve(stand_in, VERSION)
