"""Embedded speech: into text, and out of it.

sound.py      bytes of a sound file to samples and back, and other sample rates
whisper.py    speech to text, by Whisper
"""
