"""Published corpora, a module for each: whatever lies in this folder is imported, and registers itself."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)
