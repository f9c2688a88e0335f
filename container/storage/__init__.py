"""The run's bucket: what is uploaded, downloaded and found there again."""
