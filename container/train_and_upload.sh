#!/bin/bash
# The image's entry, by the name that the guide's users know. Starts the supervisor, nothing else.
cd /app && exec python -m container.supervisor "$@"
