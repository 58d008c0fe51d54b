"""An Odoo from outside: what in it keeps mail from leaving or coming back, said from what its API tells (`Survey`).

`judge` (`report.py`) makes an `OdooReport` of it: areas, findings with evidence, what is unchecked, and for some findings the changes in
Odoo that mend them. Nothing is read or changed here; `wiring/odoo_doctor.py` asks, shows the changes before it makes them, and takes them
back.
"""
