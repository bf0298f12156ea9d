"""Room on the disk, asked for before it is used.

LMDB can write through the memory map, which saves it a copy and a system call for every page that it changes, half of
what a write costs. Only, a page that the disk then has no room for is a SIGBUS, not an error. So the map is written
through only where its file's blocks can be reserved beforehand, for good: on file systems that overwrite in place.
"""

from __future__ import annotations

import os
from pathlib import Path

IN_PLACE = frozenset({"ext2", "ext3", "ext4", "xfs"})  # not those that copy on write, nor layers and networks


def reservable(folder: Path) -> bool:
    """The folder's file system keeps the blocks of a file that `reserve` gave it, whatever is written to them."""
    try:
        device = os.stat(folder).st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    for mount in mounts:
        fields = mount.split()
        if len(fields) > 2 and fields[2] == wanted and "-" in fields:
            return fields[fields.index("-") + 1] in IN_PLACE
    return False


def reserve(file: Path, size: int) -> None:
    """The file has at least `size` bytes, each with its place on the disk. Raises `OSError` where there is no room."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
