"""Control groups as a kernel shows them, made of files."""

from twin_harness.system.control_group import ControlGroup


class Tree:
    """A fake cgroup mount and the membership of a process in it."""

    def __init__(self, folder):
        self.root = folder / "cgroup"
        self.root.mkdir()
        self.membership = folder / "membership"
        self.membership.write_text("")

    def put(self, path, content):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
        return file

    def member(self, *lines):
        self.membership.write_text("".join(f"{line}\n" for line in lines))
        return ControlGroup(str(self.root), str(self.membership))
