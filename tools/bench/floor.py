"""The least that Python can do: `requests` and `orjson`, page in, records out.

`python -m tools.bench.floor URL KEY VERSION [RATE]`: with a RATE, at most so many requests a second.
"""

import sys
import time

import orjson
import requests


def main() -> None:
    url, key, version, *rates = sys.argv[1:]
    seconds = 1 / float(rates[0]) if rates else 0.0
    session = requests.Session()
    session.headers.update({"Authorization": f"Bearer {key}", "Stripe-Version": version})
    parameters = {"limit": "100", "expand[]": "data.refunds"}
    write = sys.stdout.buffer.write
    due = time.monotonic()
    while True:
        if seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            due += seconds
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
