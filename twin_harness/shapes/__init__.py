"""Load shapes: the level of a load over time, in the standard library alone."""
