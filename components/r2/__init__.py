"""Cloudflare and the run's verdict, seen from the operator's side."""
