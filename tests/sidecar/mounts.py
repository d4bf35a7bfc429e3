"""Folders as a kubelet mounts ConfigMaps and Secrets: empty while there is none, swapped whole."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path


class Mount:
    """Kubernetes `AtomicWriter`: files are links through `..data`, a link that is replaced."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._serial = count()

    def show(self, files: Mapping[str, str]) -> None:
        """Replace what is mounted by these files, all in one step."""
        before = (self.folder / "..data").resolve() if (self.folder / "..data").exists() else None
        payload = self.folder / f"..2026_11_22_{next(self._serial)}"
        payload.mkdir()
        for name, text in files.items():
            (payload / name).write_text(text)
        swap = self.folder / "..data_tmp"
        swap.symlink_to(payload.name)
        swap.replace(self.folder / "..data")
        for link in self.folder.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        if before is not None:
            for file in before.iterdir():
                file.unlink()
            before.rmdir()
