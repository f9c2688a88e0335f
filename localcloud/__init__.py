"""A cloud on this machine: what the dev stack runs on. Nothing here runs in a paid stack."""
