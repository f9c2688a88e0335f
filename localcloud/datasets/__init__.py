"""The rehearsal's data set and the mirror that serves it."""
