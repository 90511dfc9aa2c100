"""What was asked, by whom, and what it cost; who may spend how much."""
