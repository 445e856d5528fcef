"""What every test of the harness itself lives by: the same hypothesis examples in every run, on every machine."""

from hypothesis import settings

settings.register_profile("harness", derandomize=True, database=None, deadline=None, max_examples=60)
settings.load_profile("harness")

pytest_plugins = ["pytester"]  # here, not in tests/plugin: a deeper conftest may not name plugins when all tests are run at once
