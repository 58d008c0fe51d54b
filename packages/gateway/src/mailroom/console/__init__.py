"""Pages for people: each area of the console is one module with a router, named in the list of `app.py`. See docs/console.md."""
