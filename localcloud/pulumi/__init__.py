"""The Pulumi engine, its stand-in plugins, and stack dev."""
