"""The command line of `source-stripe`."""

import argparse
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from source_stripe.source import load_manifest

_DESCRIPTION = "Reads a Stripe account. Standard output carries the Airbyte protocol: a message a line, as JSON."
_EPILOG = """\
a first read, and later ones that bring what has changed:
  source-stripe check --config config.json
  source-stripe catalog --streams charges,customers > catalog.json
  source-stripe read --config config.json --catalog catalog.json > messages.jsonl
  source-stripe read --config config.json --catalog catalog.json \\
      --state messages.jsonl >> messages.jsonl

exit codes:
  0    done; of `check` also when the key can't be used: whether it can is in
       its message CONNECTION_STATUS, as the protocol wants it
  1    failed: standard error says why. Also when standard output can't be
       written, which is told unless its reader has left
  2    the command line can't be understood
  130  stopped with Ctrl-C, 143 with SIGTERM: what was read is kept
"""

_CONFIG = ("--config", {"required": True, "metavar": "FILE", "help": "the options, as JSON"})
_CATALOG_HELP = "what `catalog` or `discover` put out, or a configured catalog"
_STATE_HELP = "go on from there: what an earlier `read` put out, or its states; may be given again, the newest last"
_COMMANDS: dict[str, tuple[str, list[tuple[str, dict[str, Any]]]]] = {
    "spec": ("tell which options there are", []),
    "check": ("try the key", [_CONFIG]),
    "discover": ("tell which streams there are, with their columns", [_CONFIG]),
    "catalog": (
        "choose streams for `read`: all, or those that are named",
        [
            ("--streams", {"metavar": "NAME,NAME", "help": "their names, such as charges,customers"}),
            ("--full-refresh", {"action": "store_true", "help": "read them whole each time"}),
            ("--config", {"metavar": "FILE", "help": "the options, if they name many accounts: their keys have another column"}),
        ],
    ),
    "estimate": (
        "tell how much a first read has to read, and how long it takes",
        [_CONFIG, ("--catalog", {"metavar": "FILE", "help": f"{_CATALOG_HELP}; all streams without"})],
    ),
    "read": (
        "read streams",
        [
            _CONFIG,
            ("--catalog", {"required": True, "metavar": "FILE", "help": _CATALOG_HELP}),
            ("--state", {"action": "append", "default": [], "metavar": "FILE", "help": _STATE_HELP}),
        ],
    ),
}


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        api = load_manifest()["definitions"]["requester"]["request_headers"]["Stripe-Version"]
        print(f"source-stripe {_version_of('source-stripe')} (Stripe API {api}, airbyte-cdk {_version_of('airbyte-cdk')})")
        parser.exit()


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "that is not installed"  # A checkout, run by the Python of another environment.


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command and its options; ends the process with 2 when they can't be understood, and with 0 after help."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("source-stripe", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
    parser.add_argument("--version", action=_Version, nargs=0, help="tell the versions of this, of Stripe's API and of the CDK")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, (help_, options) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
        for option, settings in options:
            command.add_argument(option, **settings)
        command.add_argument("--debug", action="store_true", help="log in detail")
    return parser.parse_args(arguments)
