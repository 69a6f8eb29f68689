"""The tests that every backend has to pass, to be inherited by the tests of one.

The project's own backends are held to this very suite (``tests/conformance``). It needs pytest, of the extra
``testing``.
"""

import pkgutil

import pytest

# A failure shows what was compared, as in any test module; it has to be said before the modules are imported.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))

from segmenter.testing.suite.backend import BackendSuite  # noqa: E402

__all__ = ["BackendSuite"]
