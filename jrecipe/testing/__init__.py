"""The recipe's checks in a user's own tests; needs pytest (`pip install 'jrecipe[testing]'`)."""

from jrecipe.testing.parametrize import assert_passes, describe, parametrize_with_checks

__all__ = ["assert_passes", "describe", "parametrize_with_checks"]
