"""The account's list of deployments, asked for once and within seconds, for all runs of a stack."""

from __future__ import annotations

import threading
from collections.abc import Callable

from components.errors import TrainstackError
from components.ionet.client import Client
from components.ionet.errors import KeyRefusedError
from components.ionet.models import DeploymentRow

WITHIN_S = 10.0


class ListOnce:
    """Asks at the first look; every later one gets the same answer. Safe from any thread."""

    def __init__(
        self, client: Client, *, say: Callable[[str], None], within_s: float = WITHIN_S
    ) -> None:
        self.client = client
        self._say = say
        self._within_s = within_s
        self._lock = threading.Lock()
        self._asked = False
        self._rows: list[DeploymentRow] | None = None
        self._refused: KeyRefusedError | None = None
        self._why = ""

    def rows(self) -> list[DeploymentRow] | None:
        """Return the list; None when the account could not be asked, which is said once.

        Raises KeyRefusedError at each look: with a wrong key nothing can be trusted.
        """
        with self._lock:
            if not self._asked:
                self._asked = True
                self._ask()
        if self._refused:
            raise self._refused
        return self._rows

    def _ask(self) -> None:
        # In a thread of its own: one call is bounded by its client, a row of pages is not.
        thread = threading.Thread(target=self._fetch, daemon=True)
        thread.start()
        thread.join(self._within_s)
        if self._rows is None and self._refused is None:
            why = self._why or f"no answer within {self._within_s:.0f} s"
            self._say(
                f"io.net was not reached ({why}), so whether the machines live was not checked; "
                "nothing changes because of that"
            )

    def _fetch(self) -> None:
        try:
            self._rows = self.client.deployments()
        except KeyRefusedError as error:
            self._refused = error
        except TrainstackError as error:
            self._why = str(error).rstrip(".")
