"""Puts the media process and the web pages into the wheel, which makes it a wheel of one platform.

An editable install takes them from the checkout, where ``make build`` leaves them.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = ("src/dialroom/_bin/dialroom-media", "src/dialroom/web/index.html")


class CarryBuiltParts(BuildHookInterface[Any]):
    """Runs before hatchling packs the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds what is missing and says what to pack."""
        if version == "editable":
            return
        root = Path(self.root)
        if any(not (root / part).exists() for part in BUILT):
            subprocess.run(["make", "build"], cwd=root, check=True)  # noqa: S607
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
