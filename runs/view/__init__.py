"""What is shown of a run: read, judged, laid out for 80 columns."""
