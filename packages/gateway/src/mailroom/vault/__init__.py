"""Secrets at rest and tokens in use.

Every secret is sealed with AES-256-GCM under a key that lies outside the database, so that the database alone opens nothing. The
name of a secret is part of what is authenticated: a sealed value can't be moved to another name. The store sees sealed bytes only.
"""
