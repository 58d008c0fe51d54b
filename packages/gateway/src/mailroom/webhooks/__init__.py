"""Webhooks: programs that are told what happens.

**The property.** An event that a webhook subscribes to and that is committed reaches its target at least once, in spite of `kill -9` at
any moment, with an id that stays the same over all tries. A target that hangs, fails or floods never delays mail or other targets.
Nothing is lost while a target is down for a day. Nothing goes to an address that is not public unless the settings allow it.
"""
