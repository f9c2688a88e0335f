"""Stand-ins for the provider plugins that a stack of the local cloud uses; a paid stack never sees them."""

from localcloud.pulumi.plugins.install import PLUGINS, install_plugins

__all__ = ["PLUGINS", "install_plugins"]
