"""Mail as bytes: read it, index it, rewrite it, without ever holding a large one.

What must stay true here:

- Any bytes give a value or `MimeError`, never another error and never an endless loop.
- What nobody has to change stays byte for byte: nothing is parsed into objects and written out again.
- Memory does not grow with the message: bodies are read through a `ReadAt`, in windows.
- Nothing inside of a signed or encrypted part is ever touched.

`headers` splits a head, `index` finds the parts and `decode` reads them; `complete`, `rewrite`, `graph_json` and `dsn` write.
"""
