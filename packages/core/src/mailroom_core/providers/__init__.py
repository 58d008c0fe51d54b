"""One folder per provider: its HTTP conversations as flows, and the table of its errors. Providers don't import each other.

To add one: flows that return `Outcome`s, an error table whose rows name their source, and, where the provider lets us look what
became of a mail, a `look`. Nothing here sleeps, retries, logs or knows the time; the driver does.
"""
