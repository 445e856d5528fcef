"""The tests of the harness, by what they need: nothing, a foreign project, the machine, chaos."""
