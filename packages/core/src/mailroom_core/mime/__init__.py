"""Mail as bytes: read it, index it, rewrite it, without ever holding a large one.

What must stay true here:

- Any bytes give a value or `MimeError`, never another error and never an endless loop.
- What nobody has to change stays byte for byte: nothing is parsed into objects and written out again.
- Memory does not grow with the message: bodies are read through a `ReadAt`, in windows.
- Nothing inside of a signed or encrypted part is ever touched.

Reading: `headers` splits a head (`words`, `charsets` and `params` decode its values), `index` finds the parts, `decode` reads them,
`body` picks the text that people read, `sealed` knows what is signed. Of a received mail, `incoming` reads what a router needs,
`texts` what people read (`html_text` and `quoted` are its tools),
`bounce` what it reports (`bounce_words`, where no standard helps). Writing: `complete` (what an accepted mail lacks), `rewrite`
(for the next hop; `recipients` and `pieces` are its tools), `graph_json` (for Graph above its MIME limit), `dsn` (reports).
`source` has the shapes of bytes at hand and bytes elsewhere.
"""
