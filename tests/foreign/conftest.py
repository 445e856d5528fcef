"""What sessions in this process use is loaded before the first of them."""

from tests.support import libraries  # noqa: F401 - for what it loads
