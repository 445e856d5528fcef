"""In somebody else's project: pytest in processes of its own, in each way that people begin it."""
