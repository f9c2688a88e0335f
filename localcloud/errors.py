"""What can stop the local cloud: every error says what failed, why as far as known, what to do."""

from container.contract.redacted import RedactedError


class LocalCloudError(RedactedError):
    """The local cloud could not do what was asked; the message is for the user as it stands."""


class CopiedPlaceError(LocalCloudError):
    """This folder is a copy of another local cloud's: what it names is that one's."""


class DockerUnavailableError(LocalCloudError):
    """No Docker daemon answers and none could be started."""


class PortTakenError(LocalCloudError):
    """A port that this checkout chose for a service is held by somebody else's process."""


class ServiceFailedError(LocalCloudError):
    """A service ended, or did not become healthy in time."""
