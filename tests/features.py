"""Functions of a volume for tests, in a module that other processes can import."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def features(volume: Any) -> dict[str, Any]:
    """Numbers of a volume."""
    return {"mean": float(volume.mean()), "voxels": volume.size, "unit": volume.attrs.get("units", "")}


def process_of(volume: Any) -> int:
    """The process that it ran in."""
    return os.getpid()


class Deadly:
    """Ends the process that runs it for the series of one size, as often as there are files to take away."""

    def __init__(self, size: int, lives: Path) -> None:
        self.size, self.lives = size, lives

    def __call__(self, volume: Any) -> int:
        """The number of voxels."""
        if volume.size == self.size:
            for life in self.lives.iterdir():
                life.unlink()
                os._exit(9)
        return int(volume.size)


def slow(volume: Any) -> float:
    """Takes a moment."""
    time.sleep(0.3)
    return float(np.asarray(volume).max())


class Noted:
    """Leaves a note that has the number of its process, and takes long."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, volume: Any) -> int:
        """Nothing soon."""
        Path(self.folder, str(os.getpid())).touch()
        time.sleep(300)
        return 0


def named(volume: Any) -> dict[str, str]:
    """Who it is; of one patient, in a process that no test began, an error that says it."""
    if volume.size == 18 and "pytest" not in sys.modules:
        raise ValueError(str(volume.attrs))
    return {"who": volume.attrs["PatientName"]}


def leases(folder: str) -> int:
    """Holds the one lease there is until a file is in the folder, and leaves a note when it has it."""
    from dicomlab.cohort.lease import leased

    with leased("test", 1):
        Path(folder, str(os.getpid())).touch()
        end = time.monotonic() + 90
        while not Path(folder, "go").exists() and time.monotonic() < end:
            time.sleep(0.02)
    return os.getpid()
