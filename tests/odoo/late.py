"""`python late.py ODOO ARGUMENTS`: odoo-bin, whose tests all run once every module is there.

Odoo runs many tests of a module as soon as that module is installed, when those that build on it, as the add-on does, are not there yet.
Run by Odoo's Python.
"""

import importlib
import sys
from collections.abc import Iterable
from typing import Any


def main() -> None:
    sys.path[0] = sys.argv.pop(1)
    loader: Any = importlib.import_module("odoo.tests.loader")
    suite: Any = importlib.import_module("odoo.tests.suite").OdooSuite
    make = loader.make_suite

    def late(modules: Iterable[str], position: str = "at_install") -> Any:
        if position == "at_install":
            return suite([])
        names = list(modules)
        tests = [*make(names, "at_install"), *make(names, "post_install")]
        return suite(sorted(tests, key=lambda test: int(getattr(test, "test_sequence", 0))))

    loader.make_suite = late
    importlib.import_module("odoo.cli").main()


if __name__ == "__main__":
    main()
