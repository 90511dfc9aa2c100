"""Embedded models: one file per engine, and the puller of weights."""
