"""The recipes: one module each, data only. A module whose name starts with `_` is no recipe."""
