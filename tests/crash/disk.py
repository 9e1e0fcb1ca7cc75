"""A disk that can be full."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

_ROOM = "4g"


class SmallDisk:
    """A folder for all that is stored, and a way to leave no room in it.

    Where this user may mount, it is a file system in memory whose size is set to what it holds: each further block
    is ENOSPC. Elsewhere those processes whose limits this user may set get one of 0 bytes on what they write to files
    (RLIMIT_FSIZE), and each write is EFBIG.
    """

    def __init__(self, folder: Path, writers: Callable[[], Iterable[int]]) -> None:
        folder.mkdir()
        self.folder = folder
        self._writers = writers
        self._mounted = self._mount("-t", "tmpfs", "-o", f"size={_ROOM},mode=0755", "tmpfs")

    def can_fill(self, other_users: bool) -> bool:
        """Tell whether it can be full for processes of this user, or also for those of others."""
        return self._mounted or not other_users

    def fill(self) -> None:
        """Leave no byte."""
        if not self._mounted:
            self._limit(0)
            return
        while True:
            now = os.statvfs(self.folder)
            if self._mount("-o", f"remount,size={(now.f_blocks - now.f_bfree) * now.f_frsize}"):
                return  # else more was written meanwhile

    def lift(self) -> None:
        """Give the space back."""
        if self._mounted:
            self._mount("-o", f"remount,size={_ROOM}")
        else:
            self._limit(resource.RLIM_INFINITY)

    def close(self) -> None:
        """Unmount it."""
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)  # noqa: S607

    def _mount(self, *options: str) -> bool:
        try:
            command = ["mount", *options, str(self.folder)]
            done = subprocess.run(command, check=False, capture_output=True)
        except FileNotFoundError:
            return False
        return done.returncode == 0

    def _limit(self, size: int) -> None:
        for pid in self._writers():
            with suppress(psutil.NoSuchProcess):
                writer = psutil.Process(pid)
                for process in (writer, *writer.children(recursive=True)):
                    with suppress(ProcessLookupError, PermissionError):
                        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
