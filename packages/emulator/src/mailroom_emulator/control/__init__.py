"""The control API, `/_emulator/...`: everything that a test wants to see or to change. JSON in, JSON out."""
