"""Compile what the connector imports, for a root file system that can't be written to.

Compiling everything would be six times the bytes for the same start. The files don't depend on times, so that two builds
of the same packages are alike.
"""

import importlib
import pkgutil
import sys
from py_compile import PycInvalidationMode
from py_compile import compile as compile_file

import source_stripe


def main() -> None:
    for module in pkgutil.walk_packages(source_stripe.__path__, "source_stripe."):
        importlib.import_module(module.name)
    for file in {getattr(module, "__file__", None) for module in list(sys.modules.values())}:
        if file and file.endswith(".py") and file.startswith(sys.prefix):
            compile_file(file, doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main()
