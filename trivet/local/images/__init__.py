"""Pictures: what is in them, and what is written in them."""
