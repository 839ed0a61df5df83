"""What a package index shows: README with links that lead somewhere, and the project's addresses. Hatch runs it in each build.

Both need the address of the repository, which stands nowhere in it: a build on GitHub is told its own by GitHub. Any other
build takes README as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

README = Path(__file__).resolve().parent.parent / "README.md"
# A link or a picture (with `!`) that leads to a file.
RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)")


class PackagePage(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        metadata |= page(README.read_text(encoding="utf-8"), metadata["version"], os.environ)


def page(readme: str, version: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The metadata's `readme` and, where it is known, `urls`."""
    urls = {}
    if repository := environment.get("GITHUB_REPOSITORY"):
        address = f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
        readme = RELATIVE.sub(
            lambda link: f"{link[1]}[{link[2]}]({address}/{'raw' if link[1] else 'blob'}/v{version}/{link[3]})", readme
        )
        urls = {
            "Documentation": f"{address}/blob/v{version}/docs/stripe.md",
            "Repository": address,
            "Issues": f"{address}/issues",
            "Changelog": f"{address}/blob/v{version}/CHANGELOG.md",
        }
    return {"readme": {"content-type": "text/markdown", "text": readme}, "urls": urls}
