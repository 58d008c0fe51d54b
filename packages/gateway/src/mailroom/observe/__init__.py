"""What happened, for people and machines: one typed function per event."""
