"""trivet: one interface to every foundation model."""

__version__ = "0.1.0"
