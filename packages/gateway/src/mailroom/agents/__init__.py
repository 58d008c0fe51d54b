"""Tools for AI agents, over the Model Context Protocol: `mailroom mcp`.

A thin client of the running gateway: each tool is a call of the HTTP API with a token, whose rights and rates apply, and each stands in the
audit log under that token's name. `tools.py` has the tools, `telling.py` says how much of an answer an agent gets and marks what others
wrote, `server.py` is the only module that knows the SDK.
"""
