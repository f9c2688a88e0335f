"""Errors of the rental: one class for each decision that a caller takes; no I/O."""

from __future__ import annotations

from components.errors import TrainstackError


class IonetError(TrainstackError):
    """Base of everything that can go wrong between this program and io.net."""


class KeyRefusedError(IonetError):
    """The key is missing, wrong, expired or of another project: a person must act."""


class RequestRefusedError(IonetError):
    """A clear no to this very request; the same request again gets the same answer."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(RequestRefusedError):
    """The service says that this is unknown; `rental.account` tells what that means."""


class UnclearError(IonetError):
    """No usable answer: network, timeout, server error, a page that is no JSON.

    What was asked may have happened or not. Never to be taken for absence.
    """


class CatalogueUnreadError(IonetError):
    """The catalogue came in a shape of which this program reads no row; asking again is no use."""


class NoOfferError(IonetError):
    """Nothing in the catalogue fits the wish; the message lists what was there."""


class TooDearError(IonetError):
    """The offer would cost more than the configured cap; nothing was rented."""


class CredentialsTooShortError(IonetError):
    """The run's credentials would expire before the bought time is over; nothing was rented."""


class ChangeRefusedError(IonetError):
    """A live run cannot take this change; the message has the remedy."""


class RestartRefusedError(IonetError):
    """The vendor starts no other container on a rented machine, which stays; that is recorded."""


class RunEndedError(IonetError):
    """The run has its verdict; it is not rented again under the same identity."""


class EngineGoneError(IonetError):
    """The Pulumi engine that asked for this has ended; nothing was rented."""


class NotGoneError(IonetError):
    """The deployment still exists after the time allowed; it stays in the state."""


class StopTimeError(IonetError):
    """What the environment says of the wait for a run's next save is no time; nothing was done."""


class NotReadyError(IonetError):
    """The rented machine gave no sign of life in time, or ended before; it stays in the state.

    `fault` is what is wrong with the machine itself; "" where nothing says that it is the machine.
    """

    def __init__(self, message: str, *, fault: str = "") -> None:
        super().__init__(message)
        self.fault = fault


class MachineRefusedError(IonetError):
    """A machine does not work and was given back; the next `pulumi up` tries another one."""


class NoAttemptLeftError(IonetError):
    """As many machines as one run may try did not work; nothing was rented."""


class UnknownDeploymentError(IonetError):
    """The account of this key shows no such deployment: another account may, and it may bill."""


class IdentityDeletedError(IonetError):
    """The run's identity is being deleted by a `pulumi destroy`, or was; nothing was rented."""


class AnotherMachineError(IonetError):
    """A machine of the same run lives that this state does not know; nothing was rented."""


class NotRecordedError(IonetError):
    """The ledger cannot hold the intent to buy, so nothing was bought."""


class AlreadyBoughtError(IonetError):
    """The hours that were to be bought are there by now, or as many as may be; nothing was."""


class NotToldError(IonetError):
    """A run could not be told until when its machine is paid; what was bought is bought."""


class WrongWorldError(IonetError):
    """The addresses in the environment belong to another world than the resource in the state."""
