"""What programs ask over HTTP.

    app.py       puts it together          office.py    what the API needs from the house
    sending.py   POST /v1/messages         mail.py      a mail as JSON, built into MIME      bodies.py   what arrives, within limits
    messages.py  search, story, actions    objects.py   accounts, servers, applications, ... shapes.py   what is answered
    guard.py     tokens, scopes, rates     problems.py  errors as problem+json (RFC 9457)    page.py     the description for people
    trying.py    tests step by step

Everything but `web.py` is imported by the web server when it starts, behind the SMTP listener, which does not wait for it.
"""
