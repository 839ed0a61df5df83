"""What the command does for a person: catalogs, estimates, help, and its ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, StripeServer, made_up_account
from integration_tests.faulty import ROOT, Ended, Files, source_stripe
from integration_tests.harness import ALL_STREAMS, DAY, NOW
from integration_tests.readme import commands, write_config
from source_stripe.estimate import MOST_REQUESTS


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    account = Account(now=NOW)
    for number in range(3):
        account.create("product", {"id": f"prod_{number}"}, at=NOW - DAY)
    account.bulk("charge", 30_000, since=NOW - 900 * DAY, spread="even")
    account.bulk("customer", 5_000, since=NOW - 900 * DAY, spread="crowded")
    with StripeServer(account) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path, server: StripeServer) -> Iterator[Files]:
    server.clear_requests()
    yield Files(tmp_path)
    server.clear_faults()


def config(server: StripeServer, **more: Any) -> dict[str, Any]:
    return {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000} | more


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of bash in which `source-stripe` is the command."""
    script = script.replace("source-stripe", f"{sys.executable} {ROOT / 'main.py'}")
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


# ---------------------------------------------------------------------- help


def test_the_version_tells_those_of_the_api_and_the_cdk() -> None:
    told = source_stripe("--version").out.decode()
    assert re.match(r"source-stripe \d+\.\d+\.\d+ \(Stripe API 2026-08-26\.dahlia, airbyte-cdk 7\.", told)


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "source_stripe", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: source-stripe ")


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["read"], ["catalog", "--stream-names", "charges"]])
def test_a_command_line_that_cant_be_understood_ends_with_2_and_the_usage(arguments: list[str]) -> None:
    ended = source_stripe(*arguments)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.err.startswith(b"usage: source-stripe ")


# ---------------------------------------------------------------------- catalog


def catalog(ended: Ended) -> dict[str, tuple[Any, ...]]:
    """By the stream's name how it is read."""
    names = ("sync_mode", "destination_sync_mode", "cursor_field", "primary_key")
    return {each["stream"]["name"]: tuple(each.get(name) for name in names) for each in json.loads(ended.out)["streams"]}


def test_a_catalog_has_all_streams_as_they_are_usually_wanted() -> None:
    written = catalog(source_stripe("catalog"))
    assert tuple(written) == ALL_STREAMS
    assert written["charges"] == ("incremental", "append_dedup", ["updated"], [["id"]])
    assert written["tax_codes"] == ("full_refresh", "overwrite", None, [["id"]])


def test_a_catalog_has_the_streams_that_are_named() -> None:
    written = catalog(source_stripe("catalog", "--streams", "events, charges", "--full-refresh"))
    assert written == dict.fromkeys(["events", "charges"], ("full_refresh", "overwrite", ["created"], [["id"]])) | {
        "charges": ("full_refresh", "overwrite", ["updated"], [["id"]])
    }


@pytest.mark.parametrize("streams", ["events,charges,events", "events,charges,", " events , , charges"])
def test_a_catalog_has_a_stream_once(streams: str) -> None:
    assert list(catalog(source_stripe("catalog", "--streams", streams))) == ["events", "charges"]


def test_a_catalog_for_a_config_without_a_key_is_refused(files: Files) -> None:
    ended = source_stripe("catalog", "--config", files.write({}))
    assert (ended.code, ended.out) == (1, b"")
    assert b"The secret key is missing" in ended.err


def test_a_catalog_of_many_accounts_has_their_key(files: Files) -> None:
    config = files.write({"secret_key": "sk_test_1234567890abcdef", "accounts": "connected"})
    written = catalog(source_stripe("catalog", "--streams", "charges", "--config", config))
    assert written == {"charges": ("incremental", "append_dedup", ["updated"], [["account_id"], ["id"]])}


def test_a_stream_that_does_not_exist_is_told_with_those_that_it_may_be() -> None:
    ended = source_stripe("catalog", "--streams", "charges,pyouts")
    assert (ended.code, ended.out) == (1, b"")
    assert ended.err == b"source-stripe: error: There is no stream pyouts: did you mean payouts or products?\n"


@pytest.mark.parametrize("chosen", ["catalog --streams products", "discover --config config.json"])
def test_what_catalog_and_discover_write_can_be_read(server: StripeServer, files: Files, chosen: str) -> None:
    (files.folder / "config.json").write_text(json.dumps(config(server, start_date="2026-11-01")))
    shell(f"source-stripe {chosen} > catalog.json", files.folder)
    done = shell("source-stripe read --config config.json --catalog catalog.json", files.folder)
    ids = [
        message["record"]["data"].get("id")
        for message in map(json.loads, done.stdout.splitlines())
        if message["type"] == "RECORD"
    ]
    assert {"prod_0", "prod_1", "prod_2"} <= set(ids)


def test_the_commands_of_the_readme_read_an_account_and_then_what_changed(tmp_path: Path) -> None:
    account = made_up_account(size=0.1)
    with StripeServer(account) as server:
        write_config(tmp_path, server)
        *before, second = commands("source-stripe ")
        assert [shell(each, tmp_path).returncode for each in before] == [0, 0, 0, 0]
        whole = read_so_far(tmp_path)
        account.update("customer", account.objects("customer")[0]["id"], {"name": "Renamed"})
        assert shell(second, tmp_path).returncode == 0
    assert {name: count - whole[name] for name, count in read_so_far(tmp_path).items()} == {"charges": 0, "customers": 1}


def read_so_far(folder: Path) -> Counter[str]:
    """By the stream's name the records in the file of README's commands."""
    messages = map(json.loads, (folder / "secrets/messages.jsonl").read_bytes().splitlines())
    return Counter(message["record"]["stream"] for message in messages if message["type"] == "RECORD")


# ---------------------------------------------------------------------- estimate


def figures(ended: Ended) -> dict[str, list[str]]:
    """By the stream's name its columns."""
    table, _, _ = ended.out.decode().replace("in all", "in_all").replace("~ ", "").partition("\n\n")
    return {name: rest for name, *rest in map(str.split, table.splitlines()[1:])}


def test_an_estimate_is_near_what_there_is(server: StripeServer, files: Files) -> None:
    ended = source_stripe("estimate", "--config", files.write(config(server)))
    told = figures(ended)
    assert ended.err == b""
    assert 27_000 <= int(told["charges"][0].replace(",", "")) <= 33_000
    assert 3_500 <= int(told["customers"][0].replace(",", "")) <= 7_000
    assert told["products"] == ["3", "1", "0.0"]
    assert int(told["charges"][1]) == pytest.approx(300, abs=30)


def test_an_estimate_costs_a_few_requests_a_stream(server: StripeServer, files: Files) -> None:
    source_stripe("estimate", "--config", files.write(config(server)))
    asked = Counter(request.path for request in server.requests)
    assert asked["/v1/products"] == 1
    assert max(asked.values()) <= MOST_REQUESTS


def test_an_estimate_counts_what_the_start_date_and_the_catalog_leave(server: StripeServer, files: Files) -> None:
    late = config(server, start_date="2026-05-01")  # 200 of the 900 days.
    told = figures(source_stripe("estimate", *files.read(late, ["charges"])[1:]))
    assert list(told) == ["charges", "in_all"]
    assert int(told["charges"][0].replace(",", "")) == pytest.approx(30_000 * 200 / 900, rel=0.15)


def test_an_estimate_tells_what_cant_be_read(server: StripeServer, files: Files) -> None:
    server.fault("permission", path="/v1/charges", times=None)
    server.fault("status", status=400, message="This is refused.", path="/v1/payouts", times=None)
    told = figures(source_stripe("estimate", *files.read(config(server), ["authorizations", "charges", "payouts"])[1:]))
    assert {name: " ".join(words) for name, words in told.items()} == {
        "authorizations": "the account does not have Issuing",
        "charges": 'needs "Charges and Refunds: Read"',
        "payouts": "Stripe says: This is refused.",
        "in_all": "0 0 0.0",
    }


def test_an_estimate_counts_children_with_the_lists_that_they_are_read_from(server: StripeServer, files: Files) -> None:
    children = ["customer_balance_transactions", "refunds", "subscription_items"]
    told = figures(source_stripe("estimate", *files.read(config(server), children)[1:]))
    assert told["subscription_items"] == ["read", "with", "subscriptions"]
    assert told["subscriptions"][:2] == ["0", "1"]
    walks = told["customer_balance_transactions"]
    assert walks[0] == "?"
    assert int(walks[1].replace(",", "")) == pytest.approx(5_050, rel=0.3)
    assert "customers" not in told


def test_an_estimate_of_all_kinds_is_near_what_a_read_asks_for(files: Files) -> None:
    with StripeServer(made_up_account(now=NOW, size=0.6)) as server:
        told = figures(source_stripe("estimate", "--config", files.write(config(server))))
        server.clear_requests()
        read = source_stripe(*files.read(config(server), ALL_STREAMS), timeout=240)
    records = Counter(record["stream"] for record in read.of("RECORD"))
    assert int(told["in_all"][1].replace(",", "")) == pytest.approx(len(server.requests), rel=0.2)
    for whole in ("account", "coupons", "tax_codes", "top_ups"):
        assert told[whole][0] == str(records[whole])


# ---------------------------------------------------------------------- mistyped options


def test_a_mistyped_option_is_warned_of_by_its_name(server: StripeServer, files: Files) -> None:
    ended = source_stripe(*files.read(config(server, start_dat="rk_live_1", slice_range=7), ["products"]))
    warnings = [log["message"] for log in ended.of("LOG") if log["level"] == "WARN"]
    assert warnings == [
        "The config has an option `start_dat`, which does not exist and has no effect. Did you mean `start_date`?"
    ]
    assert (ended.code, ended.err, len(ended.of("RECORD"))) == (0, b"", 3)


# ---------------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    "command", ["--help", "spec", "catalog", "check --config c.json", "read --config c.json --catalog a.json"]
)
@pytest.mark.parametrize("buffered", ["PYTHONUNBUFFERED=", "PYTHONUNBUFFERED=1"])
def test_a_full_disk_ends_with_a_sentence(server: StripeServer, files: Files, command: str, buffered: str) -> None:
    (files.folder / "c.json").write_text(json.dumps(config(server)))
    shell("source-stripe catalog --streams products > a.json", files.folder)
    done = shell(f"{buffered} source-stripe {command} > /dev/full", files.folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "source-stripe: error: Standard output can't be written: no space left on device."
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["--version", "spec", "catalog", "read --config c.json --catalog a.json"])
def test_a_closed_standard_error_changes_nothing(server: StripeServer, files: Files, command: str) -> None:
    (files.folder / "c.json").write_text(json.dumps(config(server)))
    shell("source-stripe catalog --streams products > a.json", files.folder)
    done = shell(f"source-stripe {command} 2>&-", files.folder)
    assert (done.returncode, "Traceback" in done.stdout) == (0, False)


@pytest.mark.parametrize("command", ["--version", "spec", "catalog"])
def test_a_closed_standard_output_is_told(files: Files, command: str) -> None:
    done = shell(f"source-stripe {command} >&-", files.folder)
    assert (done.returncode, done.stderr) == (1, "source-stripe: error: Standard output can't be written: it is closed.\n")


def test_a_file_of_messages_can_be_added_to_from_the_first_read_on(server: StripeServer, files: Files) -> None:
    (files.folder / "c.json").write_text(json.dumps(config(server)))
    shell("source-stripe catalog --streams products > a.json", files.folder)
    command = "source-stripe read --config c.json --catalog a.json --state m.jsonl >> m.jsonl"
    assert [shell(command, files.folder).returncode for _ in range(2)] == [0, 0]
    assert (files.folder / "m.jsonl").read_text().count('"RECORD"') == 3


@pytest.mark.parametrize("command", ["catalog", "discover --config c.json", "read --config c.json --catalog a.json"])
def test_a_reader_that_leaves_early_is_no_error(server: StripeServer, files: Files, command: str) -> None:
    (files.folder / "c.json").write_text(json.dumps(config(server)))
    shell("source-stripe catalog --streams charges > a.json", files.folder)
    done = shell(f"source-stripe {command} | head -1; exit ${{PIPESTATUS[0]}}", files.folder)
    assert done.returncode in (0, 1)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_an_error_is_one_plain_line_on_standard_error(server: StripeServer, files: Files) -> None:
    server.fault("permission", path="/v1/products", times=None)
    ended = source_stripe(*files.read(config(server), ["products", "coupons"]))
    first, last = ended.err.decode().splitlines()
    assert first.startswith(
        "source-stripe: error: products: failed after 0 records. Permission denied: the key may not read this."
    )
    assert last.startswith("source-stripe: error: 1 of 2 streams failed: products. Permission denied: the key may not read this.")


def test_a_script_can_tell_whether_a_check_succeeded(server: StripeServer, files: Files) -> None:
    (files.folder / "good.json").write_text(json.dumps(config(server)))
    (files.folder / "bad.json").write_text(json.dumps(config(server, secret_key="rk_test_1234567890")))
    script = 'source-stripe check --config {} | grep -q \'"status":"SUCCEEDED"\''
    assert [shell(script.format(name), files.folder).returncode for name in ("good.json", "bad.json")] == [0, 1]


def test_several_states_are_gone_on_from_the_newest_last(server: StripeServer, files: Files) -> None:
    first = source_stripe(*files.read(config(server), ["products", "customers"])).of("STATE")
    by_stream = [
        [each for each in first if each["stream"]["stream_descriptor"]["name"] == name] for name in ("products", "customers")
    ]
    more = [word for states in by_stream for word in ("--state", files.write(states))]
    assert source_stripe(*files.read(config(server), ["products", "customers"]), *more).of("RECORD") == []
