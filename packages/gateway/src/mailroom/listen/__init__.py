"""The listeners: how mail comes in by SMTP (RFC 5321, 6409).

A session never decides about mail. It keeps the protocol, proves who the client is, and gives each whole message with its envelope
to a `Door` (door.py), which says no with `Refused` or takes responsibility; only then the client reads 250.

From the wire upward: `inbound` (bytes, lines, back pressure), `data` (what follows DATA), `receive` (into memory or a file),
`connection` (time, replies, TLS, the end), `rules` (who may do what), `session` (the commands), `submission` (start and stop).

What holds at all times: nothing that came before TLS, and nothing that follows a doubtful end of data, is read as a command.
Memory per session is bounded, whatever the client sends. A mail that the door has begun to take is taken, even if its client leaves.

This is the only home of aiosmtpd, which keeps the protocol: dispatch, order of commands, parameters, the AUTH conversation.
"""
