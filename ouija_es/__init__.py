"""The backend of a virtual Ouija board: ask in Spanish or English, always get an answer, in time."""

__version__ = "0.1.0"
