"""What was rented for whom: one object a run in the bucket, outside of all run prefixes."""
