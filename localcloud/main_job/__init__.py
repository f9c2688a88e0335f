"""What `make up`, `make down` and `make purge` do: the main job, and giving back."""
