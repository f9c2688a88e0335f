"""One container's life: lease, machine check, attempt, verdict, serving."""
