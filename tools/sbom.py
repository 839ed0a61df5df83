"""Write to standard output what the image adds to its base, as a CycloneDX document: `make sbom`.

Each package with its version and licenses, and what it needs; the base's own packages are its maker's to tell. Run in the
environment of tools/requirements.lock, which the container is lent: no such tool is in the image.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
# The image's packages come first: the path of the lent ones is not theirs to know.
INSIDE = "import runpy, sys; sys.path.append('/lent'); runpy.run_module('cyclonedx_py', run_name='__main__')"


def main(image: str) -> None:
    lent = sysconfig.get_paths()["purelib"]
    container = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python"]
    container += ["--volume", f"{lent}:/lent:ro", "--volume", f"{PROJECT}:/pyproject.toml:ro", image, "-c", INSIDE]
    options = ["--no-validate", "--output-reproducible", "--pyproject", "/pyproject.toml"]
    command = [*container, "environment", *options, "/opt/source-stripe/bin/python"]
    written = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    if (error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(written)) is not None:
        sys.exit(f"The list is no valid CycloneDX: {error}")
    print(written)


if __name__ == "__main__":
    main(*sys.argv[1:])
