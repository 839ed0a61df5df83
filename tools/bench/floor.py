"""The least that Python can do: `requests` and `orjson`, page in, records out. `python -m tools.bench.floor URL KEY VERSION`."""

import sys
import time

import orjson
import requests


def main() -> None:
    url, key, version = sys.argv[1:]
    session = requests.Session()
    session.headers.update({"Authorization": f"Bearer {key}", "Stripe-Version": version})
    parameters = {"limit": "100", "expand[]": "data.refunds"}
    write = sys.stdout.buffer.write
    while True:
        response = session.get(f"{url}/v1/charges", params=parameters, timeout=60)
        response.raise_for_status()
        page = orjson.loads(response.content)
        emitted_at = int(time.time() * 1000)
        for charge in page["data"]:
            charge["updated"] = charge["created"]
            record = {"stream": "charges", "data": charge, "emitted_at": emitted_at}
            write(orjson.dumps({"type": "RECORD", "record": record}, option=orjson.OPT_APPEND_NEWLINE))
        if not page["has_more"]:
            break
        parameters["starting_after"] = page["data"][-1]["id"]


if __name__ == "__main__":
    main()
