from . import callback, inbound, notify
