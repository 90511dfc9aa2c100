"""Models that wrap a model."""
