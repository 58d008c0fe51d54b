"""The way in for mail that was fetched.

`take` is the walk; `lookup` answers what the rules ask; `answers` writes what they want said. The rules themselves are
`mailroom_core.policy.routing`.
"""
