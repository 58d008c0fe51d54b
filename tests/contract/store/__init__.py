"""What every `Store` and every `Blobs` must do."""
