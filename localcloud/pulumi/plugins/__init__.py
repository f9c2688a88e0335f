"""Stand-ins for the provider plugins that the rehearsal uses; a paid stack never sees them."""

from localcloud.pulumi.plugins.install import PLUGINS, install_plugins

__all__ = ["PLUGINS", "install_plugins"]
