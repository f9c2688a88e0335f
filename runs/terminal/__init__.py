"""How `runs` meets its terminal: options, figures, progress."""
