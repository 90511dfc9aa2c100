"""Hosted and self-served models: one file per protocol, one row of data per compatible host."""
