"""A filesystem of our own that stops answering when it is told to, as a lost NFS server does.

``python mute_filesystem.py FOLDER`` mounts itself by /dev/fuse in a mount namespace of its own and
says ``ready``. The line ``hang`` on stdin makes it take every question and answer none, so that
whoever asks waits where no signal reaches; ``deaf`` makes it take none. The end of stdin, or its
death however it comes, aborts the connection: the kernel then answers every waiting question with
an error. The protocol is that of include/uapi/linux/fuse.h, version 7.31; names are kept in memory,
contents thrown away.
"""

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import sys
import time
from contextlib import contextmanager

_LOOKUP, _FORGET, _GETATTR, _SETATTR, _UNLINK, _READ, _WRITE, _STATFS = 1, 2, 3, 4, 10, 15, 16, 17
_OPEN, _RELEASE, _FSYNC, _FLUSH, _INIT, _OPENDIR, _READDIR, _RELEASEDIR = (
    14,
    18,
    20,
    25,
    26,
    27,
    28,
    29,
)
_ACCESS, _CREATE, _INTERRUPT = 34, 35, 36
_BATCH_FORGET, _SYNCFS = 42, 50
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 0x4000, 0x40000, 2
_IN, _OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
_BLOCKS, _BLOCK_BYTES = 1 << 20, 4096  # 4 GiB


class MuteFilesystem:
    """Answers the kernel's questions, until it is told not to."""

    def __init__(self, device):
        self._device = device
        self._names = {}
        self._sizes = {1: 0}
        self._next = 2
        self._calls = {
            _INIT: self._init,
            _LOOKUP: self._lookup,
            _GETATTR: self._get_attributes,
            _SETATTR: self._set_attributes,
            _CREATE: self._create,
            _UNLINK: self._unlink,
            _WRITE: self._write,
            _READ: self._read,
            _STATFS: self._space,
        }
        self._calls |= dict.fromkeys((_OPEN, _OPENDIR), self._open)
        quiet = (_RELEASE, _RELEASEDIR, _FLUSH, _FSYNC, _ACCESS, _READDIR, _SYNCFS)
        self._calls |= dict.fromkeys(quiet, self._nothing)

    def _attributes(self, node):
        mode = stat.S_IFDIR | 0o777 if node == 1 else stat.S_IFREG | 0o600
        size = self._sizes.get(node, 0)
        blocks, owner = (size + 511) // 512, (os.getuid(), os.getgid())
        times = [0] * 6
        return struct.pack(
            "<3Q3Q3I7I", node, size, blocks, *times, mode, 1, *owner, 0, _BLOCK_BYTES, 0
        )

    def _entry(self, node):
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)

    def _init(self, *_):
        version, background, most_bytes, grain_ns, most_pages = (7, 31), (12, 9), 1 << 17, 1, 32
        return struct.pack(
            "<4I2H2I2H32x", *version, 0, 0, *background, most_bytes, grain_ns, most_pages, 0
        )

    def _lookup(self, _, body):
        found = self._names.get(body.rstrip(b"\0"))
        return self._entry(found) if found else errno.ENOENT

    def _get_attributes(self, node, _):
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def _set_attributes(self, node, body):
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        if valid & 8:
            self._sizes[node] = size
        return self._get_attributes(node, body)

    def _create(self, _, body):
        new, self._next = self._next, self._next + 1
        self._names[body[16:].rstrip(b"\0")], self._sizes[new] = new, 0
        return self._entry(new) + struct.pack("<QIi", new, 0, 0)

    def _unlink(self, _, body):
        self._names.pop(body.rstrip(b"\0"), None)
        return b""

    def _open(self, node, _):
        return struct.pack("<QIi", node, 0, 0)

    def _write(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        self._sizes[node] = max(self._sizes.get(node, 0), offset + size)
        return struct.pack("<II", size, 0)

    def _read(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(max(0, min(size, self._sizes.get(node, 0) - offset)))

    def _space(self, *_):
        free = _BLOCKS // 2
        blocks, files = (_BLOCKS, free, free), (1000, 900)
        return struct.pack("<5Q3I28x", *blocks, *files, _BLOCK_BYTES, 255, _BLOCK_BYTES)

    def _nothing(self, *_):
        return b""

    def _no_such_call(self, *_):
        return errno.ENOSYS

    def answer(self):
        """Answer one question."""
        request = os.read(self._device, 1 << 18)
        _, opcode, unique, node, *_ = _IN.unpack_from(request)
        if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            return
        answer = self._calls.get(opcode, self._no_such_call)(node, request[_IN.size :])
        content, error = (b"", -answer) if isinstance(answer, int) else (answer, 0)
        with contextlib.suppress(FileNotFoundError):  # whoever asked has been killed meanwhile
            os.write(self._device, _OUT.pack(_OUT.size + len(content), error, unique) + content)

    def swallow(self):
        """Take one question and leave it unanswered."""
        os.read(self._device, 1 << 18)


def _call(done):
    if done:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(folder):
    """Mount, answer, hang and end as stdin says."""
    libc = ctypes.CDLL(None, use_errno=True)
    _call(libc.unshare(_CLONE_NEWNS))
    _call(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
    _call(libc.mount(b"mute", folder.encode(), b"fuse.mute", ctypes.c_ulong(0), options.encode()))
    mute, listened = MuteFilesystem(device), [0, device]
    mute.answer()  # INIT
    act = mute.answer
    os.write(1, b"ready\n")
    try:
        while True:
            readable = select.select(listened, [], [])[0]
            if 0 in readable:
                line = os.read(0, 64)
                if not line:
                    return
                act = mute.swallow
                listened = [0] if line == b"deaf\n" else listened
                os.write(1, b"hung\n")
            elif device in readable:
                act()
    finally:
        os.close(device)  # aborts: whoever waits gets an error now
        libc.umount2(folder.encode(), _MNT_DETACH)


class Mounted:
    """A mute filesystem while it is mounted.

    Attributes:
        path: where.
    """

    def __init__(self, path, server):
        self.path = path
        self._server = server

    def entering(self, folder):
        """Return the words before a command that is to see it, and to run in a folder."""
        namespace = f"--mount=/proc/{self._server.pid}/ns/mnt"
        return ["nsenter", namespace, "sh", "-c", 'cd "$0" && exec "$@"', str(folder)]

    def hang(self, how="hang"):
        """Stop answering."""
        self._server.stdin.write(f"{how}\n".encode())
        self._server.stdin.flush()
        assert self._server.stdout.readline() == b"hung\n"

    def release(self):
        """End it: every waiting question is answered with an error."""
        self._server.stdin.close()
        self._server.wait(10)


@contextmanager
def mute_filesystem(path):
    """Mount one on a new folder, seen by commands that enter it alone, while a block runs.

    Raises:
        OSError: /dev/fuse or the right to mount is missing; the message says which.
    """
    path.mkdir()
    command, pipe = [sys.executable, "-S", __file__, str(path)], subprocess.PIPE
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    mounted = Mounted(path, server)
    try:
        if server.stdout.readline() != b"ready\n":
            why = server.stderr.read().decode().strip().rpartition("\n")[2]
            raise OSError(errno.EPERM, f"no filesystem can be mounted by /dev/fuse here: {why}")
        yield mounted
    finally:
        with contextlib.suppress(OSError):
            server.stdin.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        time.sleep(0.1)  # who waited has its answer, and ends


if __name__ == "__main__":
    main(sys.argv[1])
