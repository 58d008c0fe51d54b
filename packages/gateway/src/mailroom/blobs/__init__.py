"""The bytes of large messages, outside the database: as files (`files.py`)."""
