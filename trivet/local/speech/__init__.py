"""Embedded speech: into text, and out of it.

sound.py      sound files to samples and back, and other sample rates
mp3.py        how long an MP3 is, where it does not tell
whisper.py    speech to text, by Whisper
piper.py      text to speech, by a voice of Piper's
english.py    a text as sentences, and all that is in them as words
numbers.py    numbers as words
phonemes.py   words as the phonemes that a voice knows
letters.py    … those that no dictionary has
"""
