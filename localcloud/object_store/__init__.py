"""The S3 server of the local cloud, and the faults that can be planted before it."""
