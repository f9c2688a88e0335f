"""The stand-in's HTTP side: paths, gate, server; nothing of what the service does."""
