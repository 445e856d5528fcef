"""Lab policy: which plugin and which fixtures of this server the experiments use."""

pytest_plugins = ["twin_harness.plugin", "fixtures.telemetry", "fixtures.loads", "fixtures.limits"]
