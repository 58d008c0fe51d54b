"""What Mailroom can do, measured: `make bench`, or `python -m bench relay start` for some of it, `--quick` for a rough look.

Each measurement is a module with a function `measure(place, quick)` that returns `Result`s. It starts its own processes, which listen
on this machine only, and ends them. What the processes say is kept in `bench/out/`.
"""
