"""Microsoft Graph v1.0, as far as mail goes (facts 1 to 3)."""
