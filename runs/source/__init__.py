"""Where to look: the stack, the bucket, and what the command line selects."""
