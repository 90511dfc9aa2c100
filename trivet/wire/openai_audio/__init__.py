"""OpenAI's audio, before clients and before hosts: speech to text, and text to speech."""
