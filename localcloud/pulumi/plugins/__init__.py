"""Stand-ins for the provider plugins of the local cloud's stacks; a paid stack never sees them."""

from localcloud.pulumi.plugins.install import PLUGINS, install_plugins

__all__ = ["PLUGINS", "install_plugins"]
