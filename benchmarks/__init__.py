"""Measures what trivet costs, and writes benchmarks/results.md. `make bench`, or `python -m benchmarks [NAME ...]`.

__main__.py  which subjects there are; runs them
pairs.py     rounds in which every side has its turn, ratios, and rows of the table
prompts.py   prompts that are new each time, and of a known length
sides.py     the bare engine and the Python API, on the same loaded weights
over_http.py `trivet serve` in a process of its own, and a raw HTTP client
speed.py     decode, prefill, eight at once, and a prefix already seen
cancel.py    until the slot of a cancelled request is free
gateway.py   between a client and a provider: trivet against a bare pass-through
passthrough.py  that pass-through, over each client library
drip.py      a provider that streams
texts.py     vectors, against sentence-transformers
transcription.py  speech to text, against faster-whisper
loop.py      how long the event loop stands still while embedded models load and answer
start_up.py  `import trivet` and `trivet --help`
memory.py    the server's memory beyond the engine's
bare.py      a process with the engine alone, for memory.py
machine.py   what it ran on
report.py    results.md
"""
