from . import callback, inbound
