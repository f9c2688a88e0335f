"""The stages of one attempt: order, process, retries."""
