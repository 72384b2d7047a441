"""Read models: everything that is shown is a fold of the log."""
