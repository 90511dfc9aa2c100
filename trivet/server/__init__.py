"""HTTP in front of a runtime: bytes in, bytes out. Formats are in `trivet.wire`, models behind `trivet.runtime`."""
