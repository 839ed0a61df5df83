"""What the image adds to its base, as a Markdown table: `python -m tools.image_sizes [IMAGE]`.

The ten largest packages, each with how many of its modules a start of the connector imports. Of some there are none: rich and
Pygments serve a terminal, and the CDK requires others. `left_out_of_image.txt` names those that the image does without.
"""

from __future__ import annotations

import json
import subprocess
import sys

INSIDE = """
import importlib, importlib.metadata, json, pathlib, pkgutil, sys
import source_stripe
for module in pkgutil.walk_packages(source_stripe.__path__, "source_stripe."):
    importlib.import_module(module.name)
used = {pathlib.Path(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
packages = []
for found in importlib.metadata.distributions():
    files = {pathlib.Path(found.locate_file(file)).resolve() for file in found.files or ()}
    files |= {cached for file in files for cached in file.parent.glob(f"__pycache__/{file.stem}.*.pyc")}
    there = [file for file in files if file.is_file()]
    size = sum(file.stat().st_size for file in there)
    packages.append((found.name, found.version, size, len(used & files)))
added = sum(file.stat().st_size for file in pathlib.Path(sys.prefix).rglob("*") if file.is_file() and not file.is_symlink())
print(json.dumps({"packages": packages, "added": added}))
"""


def main(arguments: list[str]) -> int:
    image = arguments[0] if arguments else "source-stripe"
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", INSIDE]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    packages = sorted(found["packages"], key=lambda package: -package[2])
    unused = sum(size for _, _, size, modules in packages if not modules)
    print("| package | version | MB | modules imported |")
    print("| --- | --- | ---: | ---: |")
    for name, version, size, modules in packages[:10]:
        print(f"| {name} | {version} | {megabytes(size)} | {modules or 'none'} |")
    print(f"| the other {len(packages) - 10} | | {megabytes(sum(size for _, _, size, _ in packages[10:]))} | |")
    print(f"\nThe image adds {megabytes(found['added'])} MB to its base; {megabytes(unused)} MB of it are packages of which a")
    print("start of the connector imports nothing.")
    return 0


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
