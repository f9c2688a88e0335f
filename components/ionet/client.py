"""The io.net CaaS API over HTTP: one method a call, each bounded in time; says yes, no or unclear.

Reading and deleting are tried again after an unclear answer. Renting, extending and updating are
sent once, as the API knows no idempotency key: whoever calls them looks up what became of an
unclear one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import requests
import tenacity

from components.http_session import make_session
from components.ionet import catalogue, json_shapes, models, refusals
from components.ionet.errors import (
    KeyRefusedError,
    NotFoundError,
    RequestRefusedError,
    UnclearError,
)
from container.transport.network import reason_of

DEFAULT_BASE_URL = "https://api.io.solutions"
ACCOUNT_BASE = "/enterprise/v1/io-cloud/caas"
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0  # the service has taken 30 s to answer
SENT_WITHIN_S = CONNECT_TIMEOUT_S + READ_TIMEOUT_S  # what is sent once has arrived then, or never
RETRY_FOR_S = 180.0
TOO_MANY_REQUESTS = 429
PAGE_SIZE = 100
MAX_PAGES = 200

_Decoded = TypeVar("_Decoded")


class Client:
    """Calls of one account. Raises the classes of `errors`; keeps the key out of every message."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        retry_for_s: float = RETRY_FOR_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        account: str = "the io.net account of this key",
    ) -> None:
        self.account = account  # in words: whose key it is, never the key
        self._base_url = base_url.rstrip("/")
        self._session = make_session()
        self._session.headers.update({"x-api-key": api_key, "Accept": "application/json"})
        self._retry_for_s = retry_for_s
        self._timeout = (CONNECT_TIMEOUT_S, read_timeout_s)

    @property
    def answers_within_s(self) -> float:
        """How long a call that is repeated may take until it is answered or given up."""
        return self._retry_for_s + sum(self._timeout)

    def hardware(self) -> list[models.Hardware]:
        """Return the catalogue of the account."""
        return self._read("/hardware", decode=catalogue.hardware_rows)

    def places(self, hardware_id: models.HardwareId, *, gpus: int) -> list[models.Place]:
        """Return where network hardware can be had with that many GPUs in one container."""
        query = {"hardware_id": str(hardware_id), "hardware_qty": str(gpus)}
        return self._read("/available-replicas", decode=models.places, query=query)

    def bill(
        self,
        *,
        hardware_id: models.HardwareId,
        location_ids: Sequence[models.LocationRef],
        gpus: int,
        hours: int,
    ) -> models.Bill:
        """Return the bill for one container, with its fees. It reserves nothing."""
        codes = [ref for ref in location_ids if isinstance(ref, str)]
        query = {
            "hardware_id": str(hardware_id),
            "location_ids": ",".join(codes) if codes else json.dumps(list(location_ids)),
            "gpus_per_container": str(gpus),
            "duration_hours": str(hours),
            "replica_count": "1",
        }
        return self._read("/price", decode=models.bill, query=query)

    def deployments(self) -> list[models.DeploymentRow]:
        """Return all deployments, past ones too.

        Whether the first page is 0 or 1 is not documented, so page 0 is asked for unless the pages
        from 1 on hold as many as the total says. A total may be absent, or 0 beside rows.
        """
        by_id: dict[str, models.DeploymentRow] = {}
        total = 0
        for page in range(1, MAX_PAGES):
            before = len(by_id)
            total = self._page(page, by_id)
            if len(by_id) == before or 0 < total <= len(by_id):
                break
        if not 0 < total <= len(by_id):
            self._page(0, by_id)
        return list(by_id.values())

    def deployment(self, deployment_id: str) -> models.Deployment:
        """Return the details of one deployment; raises NotFoundError when it is unknown."""
        return self._read(f"/deployment/{deployment_id}", decode=models.deployment)

    def workers(self, deployment_id: str) -> list[models.Worker]:
        """Return the containers of a deployment."""
        return self._read(f"/deployment/{deployment_id}/containers", decode=models.workers)

    def deploy(self, request: models.DeployRequest) -> str | None:
        """Rent. Returns the id, or None when the answer was a yes without one.

        Sent once; raises UnclearError when the machine may exist all the same.
        """
        answer = self._send("POST", "/deploy", body=request.to_json())
        return models.deployment_id(answer)

    def extend(self, deployment_id: str, *, hours: int) -> None:
        """Buy that many hours more. Sent once: it adds up."""
        self._send("POST", f"/deployment/{deployment_id}/extend", body={"duration_hours": hours})

    def update(self, deployment_id: str, request: models.DeployRequest) -> None:
        """Start the machine's container anew, as the request says; its hours stay.

        Sent once: what the vendor does on it is not documented, so whoever calls looks before it
        is sent again.
        """
        self._send("PATCH", f"/deployment/{deployment_id}", body=request.to_update_json())

    def delete(self, deployment_id: str) -> None:
        """Ask for the end of a deployment; raises NotFoundError when it is unknown or ended."""
        self._retrying(lambda: self._send("DELETE", f"/deployment/{deployment_id}"))

    def _page(self, page: int, by_id: dict[str, models.DeploymentRow]) -> int:
        query = {"page": str(page), "page_size": str(PAGE_SIZE)}
        rows, total = self._read("/deployments", decode=models.deployment_page, query=query)
        by_id.update({row.id: row for row in rows})
        return total

    def _read(
        self,
        path: str,
        *,
        decode: Callable[[Any], _Decoded],
        query: dict[str, str] | None = None,
    ) -> _Decoded:
        def once() -> _Decoded:
            answer = self._send("GET", path, query=query)
            try:
                return decode(answer)
            except json_shapes.WireError as error:
                raise UnclearError(
                    f"io.net answered GET {path} in an unknown shape: {error}."
                ) from None

        return self._retrying(once)

    def _retrying(self, call: Callable[[], _Decoded]) -> _Decoded:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(UnclearError),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=15),
            stop=tenacity.stop_after_delay(self._retry_for_s),
            reraise=True,
        )
        return retrying(call)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Any:
        what = f"{method} {path}"
        try:
            response = self._session.request(
                method,
                self._base_url + ACCOUNT_BASE + path,
                params=query,
                json=body,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise UnclearError(
                f"io.net gave no answer to {what}: {reason_of(error)}. "
                "Check the network and the service's status, then try again."
            ) from None
        answer = _json_of(response)
        if 200 <= response.status_code < 300 and (answer is not None or not response.content):
            return answer
        text = "" if answer is not None else response.text
        raise _error_of(what, status=response.status_code, answer=answer, text=text)


def _json_of(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _error_of(what: str, *, status: int, answer: Any, text: str) -> Exception:
    says = refusals.problem_text(answer)
    refused = 400 <= status < 500 and status != TOO_MANY_REQUESTS
    key_refused = refused and refusals.is_about_the_key(answer, text=text)
    text = f"io.net refused {what} with {status}" + (f": {says}" if says else ".")
    if status in {401, 403} or key_refused:
        return KeyRefusedError(
            f"io.net refused the API key ({what}: {status}). Make a key for the project IO Cloud "
            "and set IOCLOUD_API_KEY to it, which counts before the stack's trainstack:ionetApiKey."
        )
    if status == 404 or (status == 400 and "not found" in says.lower()):
        if answer is None:
            return UnclearError(f"io.net answered {what} with {status} and no JSON.")
        return NotFoundError(text, status=status)
    if status == TOO_MANY_REQUESTS or status >= 500 or status < 400 or answer is None:
        return UnclearError(f"io.net gave no usable answer to {what} ({status}). Try again.")
    return RequestRefusedError(text, status=status)
