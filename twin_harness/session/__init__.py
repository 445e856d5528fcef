"""One run from open to close: settings, identity, logger, runner, files and report."""
