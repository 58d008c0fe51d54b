"""Signing in: how a grant is asked for, redeemed, renewed, and what its errors mean. Conversations only; nothing is kept here.

`microsoft` has the addresses of Microsoft's clouds and the flows, `problems` the table of errors, `scopes` the permissions.
The caller keeps the tokens, makes `state` and the PKCE verifier, signs assertions and knows the time.
"""
