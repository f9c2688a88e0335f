"""What is shown of a run: read, judged, laid out for whatever width there is."""
