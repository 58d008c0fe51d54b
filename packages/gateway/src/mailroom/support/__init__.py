"""The support bundle: what somebody who helps has to see, and nothing that they must not.

`masking.py` says what may stay in a text, `mail.py` does the same for whole mails, `bundle.py` puts the files together within limits and
looks at them once more. What goes in is gathered by `wiring/support.py`.

Everything passes through one `Masks`: it takes out secrets, and gives each address, domain, network address and opaque word one mask,
the same wherever it stands, so that a story can be followed. What it does not know it does not spare: a header field that nobody needs is
left out, and so are a body and a subject unless they are asked for.
"""
