"""Looking whether things work, step by step, for a person who watches."""
