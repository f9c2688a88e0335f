"""Whether a run's credentials last as long as its machine; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from components.ionet.errors import CredentialsTooShortError
from container.contract.clock import moment

CREDENTIALS_MARGIN = timedelta(hours=2)
"""Between renting and the end of the bought time lies the boot, and the last upload after it."""


def require_lasting_credentials(expire_on: str, *, run: str, hours: float, now: datetime) -> None:
    """Raise when the run's credentials would expire before `hours` and the margin are over."""
    end = moment(expire_on)
    if end and now + timedelta(hours=hours) + CREDENTIALS_MARGIN > end:
        raise CredentialsTooShortError(
            f"the credentials of run {run} expire at {expire_on}: too soon for {hours:.4g} hours "
            f"from now and {CREDENTIALS_MARGIN.seconds // 3600} more for the boot and the last "
            "upload. Nothing was bought. Ask for fewer hours, or raise trainstack:renew: new "
            "credentials on a machine rented anew, which goes on from the newest checkpoint."
        )
