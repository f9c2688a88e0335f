"""The stand-in's HTTP side: paths, gate, server; no behaviour."""
