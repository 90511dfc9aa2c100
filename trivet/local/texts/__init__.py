"""Texts and sequences through BERTs."""
