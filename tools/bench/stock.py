"""The suggested streams through the CDK's own parts: `python -m tools.bench.stock read --config … --catalog …`.

The manifest is the connector's; in place of its components stand the CDK's requester, retriever, selector and paginator, and its
`AddFields` and normalization, as manifests usually use them. What the CDK has no parts for, other kinds of stream, is left out.
"""

import sys
from typing import Any
from urllib.parse import parse_qsl

import orjson
from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

from source_stripe.source import load_manifest, resources
from tools.entries import suggested_streams


def stock_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """`manifest` with the suggested streams alone, without any custom component."""
    names = suggested_streams()
    entries = [entry for entry in manifest["streams"] if entry["$parameters"]["name"] in names]
    return {
        "version": manifest["version"],
        "type": "DeclarativeSource",
        "streams": [_stream(entry, manifest["definitions"]) for entry in entries],
        "check": manifest["check"],
        "concurrency_level": manifest["concurrency_level"],
        "spec": {key: value for key, value in manifest["spec"].items() if key != "config_normalization_rules"},
    }


def _stream(entry: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    given = entry["$parameters"]
    cursor_field = definitions[entry["$ref"].rpartition("/")[2]]["incremental_sync"]["cursor_field"]
    stream = {
        "type": "DeclarativeStream",
        "name": given["name"],
        "primary_key": definitions["stream"]["primary_key"],
        "incremental_sync": definitions["created_range"] | {"cursor_field": cursor_field},
        "retriever": _retriever(given, definitions),
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": orjson.loads((resources() / "schemas" / f"{given['name']}.json").read_bytes()),
        },
    }
    if cursor_field == "updated":
        field = {"path": ["updated"], "value": "{{ record['created'] }}", "value_type": "integer"}
        stream["transformations"] = [{"type": "AddFields", "fields": [field]}]
    return stream


def _retriever(given: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    requester = definitions["requester"]
    base = definitions["retriever"]["$parameters"]["url_base"].removeprefix("{{ ").removesuffix(" }}")
    parameters = dict(parse_qsl(given.get("passes", [""])[0]))
    if given.get("expand"):
        parameters["expand[]"] = "{{ " + repr([f"data.{name}" for name in given["expand"]]) + " }}"
    return {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester",
            "url": "{{ " + base + " }}/v1/" + given["name"],
            "authenticator": requester["authenticator"],
            "request_headers": {"Stripe-Version": requester["request_headers"]["Stripe-Version"]},
            "request_parameters": parameters,
        },
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
            "schema_normalization": "Default",
        },
        "paginator": definitions["paginator"]
        | {
            "pagination_strategy": {
                "type": "CursorPagination",
                "page_size": definitions["paginator"]["pagination_strategy"]["page_size"],
                "cursor_value": "{{ last_record['id'] }}",
                "stop_condition": "{{ not response['has_more'] }}",
            },
        },
    }


def main() -> None:
    arguments = sys.argv[1:]
    parsed = AirbyteEntrypoint.parse_args(arguments)
    config = ConcurrentDeclarativeSource.read_config(parsed.config)
    catalog = ConcurrentDeclarativeSource.read_catalog(parsed.catalog)
    source = ConcurrentDeclarativeSource(
        catalog, config, state=None, source_config=stock_manifest(load_manifest()), config_path=parsed.config
    )
    launch(source, arguments)


if __name__ == "__main__":
    main()
