"""What operators see of the process: log lines, later traces and instruments."""
