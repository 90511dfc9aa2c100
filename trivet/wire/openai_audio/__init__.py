"""OpenAI's audio, before a client: speech to text, and text to speech."""
