"""The store: what was accepted, what became of it, and what people configured, in SQLite or PostgreSQL.

`open_store` (`open.py`) gives a `Store` (`sql.py`), whose methods are functions over one transaction (`Tx` in `database.py`), grouped by
who needs them: `accepting` (the way in), `lanes` (who may work), `due` (on what), `attempts` (what came of it), `looking`, `searching`
and `acting` (people), `housekeeping`, `documents` (objects) and `keeping` (secrets and leases). `schema.py` has the tables and their
invariants.

The statements are written once, for both databases, and prepared once (`Dialect`). Everything on the way of a mail is done for a whole
batch at a time and finds its rows by an index that holds only what waits: a million waiting mails slow nothing down.

Times are microseconds since 1970 in UTC. SQLAlchemy gives connections, pooling and one kind of error; it is imported nowhere else.
"""
