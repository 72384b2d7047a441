"""The fallback: which provider is tried, for how long, and what follows when it fails."""
