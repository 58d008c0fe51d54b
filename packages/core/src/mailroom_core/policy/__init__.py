"""Decisions as pure functions: which address, which server, when again."""
