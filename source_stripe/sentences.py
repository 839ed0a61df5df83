"""The sentences that users read: what is wrong and what to do, and what a log tells of a sync."""

import logging
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from source_stripe.api.errors import StripeError

KEYS_PAGE = "https://dashboard.stripe.com/apikeys"

Rows = Mapping[str, str]
"""By the token of a permission (`charge_read`) its row in the form of a restricted key ("Charges and Refunds")."""

# ---------------------------------------------------------------------- the key

_ADVICE = f"Create a restricted key (rk_live_... or rk_test_...) with Read permissions at {KEYS_PAGE} and use that."

KEY_IS_NO_TEXT = f"The secret key must be a text. {_ADVICE}"
KEY_IS_EMPTY = f"The secret key is empty. {_ADVICE}"
KEY_IS_MISSING = f"The secret key is missing: set `secret_key`. {_ADVICE}"
KEY_ENDS_A_LINE = "The secret key ends with a line end. Copy it again without the line end."
KEY_HAS_BLANKS = "The secret key has blanks in it or around it. Copy it again without them."
KEY_IS_QUOTED = "The secret key has quotes around it. Copy it again without them."
KEY_IS_HIDDEN = "This is a key as the Dashboard shows it, with its middle hidden. Reveal the key there and copy the whole of it."
KEY_IS_NONE = f"This is no Stripe API key: they begin with rk_live_, rk_test_, sk_live_ or sk_test_. {_ADVICE}"
WRONG_KINDS_OF_KEY = (
    (r"pk_", f"This is a publishable key (pk_...), made for browsers: it can read nothing. {_ADVICE}"),
    (r"whsec_", f"This is a webhook signing secret (whsec_...), not an API key. {_ADVICE}"),
    (r"ek_", f"This is an ephemeral key (ek_...), made for mobile apps: it expires within the hour. {_ADVICE}"),
    (r"acct_", f"This is an account's id (acct_...), not an API key. {_ADVICE}"),
    (r"ca_", f"This is an OAuth client's id (ca_...), not an API key. {_ADVICE}"),
    (r"mk_", f"This is the id of a key (mk_...), not the key itself. {_ADVICE}"),
    (
        r"(sk|rk)_org_",
        f"This is an organization's key (sk_org_...): take a key of the one account that you want to read."
        f" Or name those of its accounts that you want to read in `account_ids`, or one in `account_id`. {_ADVICE}",
    ),
)
"""What other things begin with, and what to say of them: https://docs.stripe.com/keys."""

# ---------------------------------------------------------------------- the options and the files

NO_DATE = "The option `start_date` is no date of the calendar: write it as 2024-01-01T00:00:00Z."
FAR_FUTURE = "The option `start_date` lies in the far future: nothing would ever be read."
LONG_LOOKBACK = "lookback_window_days is {days}: taken as {most}, since Stripe keeps events for 30 days."
ONE_AND_MANY = "`account_id` names one account to read, `accounts` and `account_ids` several: leave the one or the others out."
IDS_OF_OWN = "The option `account_ids` names connected accounts, but `accounts` is own: set it to connected."
ORGANIZATIONS_OWN = (
    "An organization's key has no account of its own: set `accounts` to connected, and name some in `account_ids`."
)
ORGANIZATIONS_ACCOUNTS = "Stripe does not tell an organization's key which accounts there are: name them in `account_ids`."
SHARD_OF_ONE = "The option `shard` takes a part of many accounts: set `accounts` to connected or all, or leave it out."
ESTIMATE_OF_MANY = "An estimate is of one account: name it in `account_id`, and leave out `accounts` and `account_ids`."
NO_SHARD = "The option `shard` must be a number from 0 on, and how many there are: 0/4, 1/4, 2/4 and 3/4 are the four of four."
NO_ADDRESS = "The option `api_base` must be an address such as https://api.stripe.com."
NO_TLS = "The option `api_base` must be an https address: without TLS only this machine is allowed."
WRONG_CHOICE = "The option `{option}` must be {form}."
INJECTED = (
    "The config has a manifest or components of Airbyte's connector builder in it (`{name}`). This connector brings its own:"
    " take it out of the config."
)


def to_go_on(files: Iterable[str], into: str) -> str:
    """How to go on from the states in `files`, the newest last, and put what comes behind what is in `into`."""
    return f"To go on from here: --state {' --state '.join(map(shlex.quote, files))} >> {shlex.quote(into)}"


def kept(has_state: bool, given: Sequence[str], file: str) -> str:
    """What a read leaves that was stopped. `given`: the files whose states it went on from; `file`: where it wrote, or ""."""
    if not has_state:
        return "No state was put out yet: run the same again."
    if file:
        return f"What was read is kept. {to_go_on(dict.fromkeys([*given, file]), file)}"
    return "What was read is kept by who took it: put that into a file, and go on with --state and the name of the file."


def wrong_option(option: str, form: Mapping[str, Any]) -> str:
    """For an option whose value is not what its `form` in the spec allows. The value is not shown."""
    if form.get("type") == "integer":
        most = f"from {form['minimum']} to {form['maximum']}" if "maximum" in form else f"of at least {form['minimum']}"
        what = f"must be a whole number {most}"
    elif "enum" in form:
        what = f"must be one of {', '.join(form['enum'])}"
    elif form.get("type") == "array":
        what = f"must be a list of texts that look like {form['items']['pattern_descriptor']}"
    elif "pattern_descriptor" in form:
        what = f"must look like {form['pattern_descriptor']}"
    else:
        what = "must be a text of the right form"
    return f"The option `{option}` {what}."


def unknown_option(name: str, near: Sequence[str]) -> str:
    meant = f"Did you mean `{near[0]}`?" if near else "`source-stripe spec` tells which there are."
    return f"The config has an option `{name}`, which does not exist and has no effect. {meant}"


def wrong_place(place: str, complaint: str) -> str:
    """What a serializer complains of, with its `place` (`streams/2/sync_mode`), in words that don't show the value."""
    line, _, path = place.rpartition(": ")
    steps = re.sub(r"/?\b(\d+)\b", r"[\1]", path).strip("/").replace("/", ".")
    where = f"{line} " + (f"`{steps}`" if steps else "" if line else "it")
    form = re.search(r" is not (one of \[[^]]*\]|of type \"\w+\")$", complaint)
    what = "is missing" if "required" in complaint else f"must be {form[1]}" if form else "is not of the right form"
    return f"{where.strip()} {what}"


def no_such_stream(name: str, near: Sequence[str]) -> str:
    meant = f"did you mean {' or '.join(near)}?" if near else "`source-stripe catalog` without --streams writes all."
    return f"There is no stream {name}: {meant}"


def unreadable_file(what: str, path: str, why: str) -> str:
    return f"The {what} file {path} can't be read: {why}."


NO_CONFIG = "The config file {path} must hold a JSON object with the options, such as `secret_key`."
NO_CATALOG = (
    "The catalog file {path} can't be used: {why}. It must be what `source-stripe catalog` or `discover` puts out, or a"
    " configured catalog."
)
NO_STATE = (
    "The state file {path} can't be used: {why}. It must be the list of states, one a stream, that an earlier read put out, or"
    " the file of its messages. Leave it out to read everything from the beginning."
)
EMPTY_STATE = "The state file {path} holds neither records nor a state: everything is read from the beginning."
CUT_LINE = "Line {line} of the state file {path} is cut, as by a kill. It is left out: the states before it count."
TWICE = "The catalog asks for the stream {stream} twice. Take one of them out."
UNKNOWN_STREAM = "The catalog asks for the stream {stream}, which does not exist. Refresh the schema."
REFUSED_STATE = (
    "The state of the stream {stream} can't be used: {why}. Reset the stream (clear its data, or take it out of the state file)"
    " to read it from the beginning."
)
NO_ROOM = (
    "What changed since the last sync, or the lists of a very large object, did not find room in the temporary directory. Make"
    " room there, or name another one in the environment variables SQLITE_TMPDIR and TMPDIR. The system says: {error}"
)
NO_OUTPUT = "Standard output can't be written: {why}."
DEFECT = "The connector failed on its own account ({type}). Please report this."

# ---------------------------------------------------------------------- what Stripe says no with


def of_error(error: StripeError, permission: str, rows: Rows) -> str:
    """What a user reads of `error`: what is wrong, what to do, and Stripe's own words.

    `permission` is the row of a restricted key's form that the request needs, for example "Charges and Refunds".
    """
    says = f"Stripe says: {error}"
    if error.status == 401:
        return f"{_KEY_FIXES.get(_reason_of_401(error), _KEY_FIXES['invalid'])} {says}"
    if error.code == "secret_key_required" or "publishable API key" in error.message:
        return f"Invalid API Key: it is a publishable key. Use a restricted or secret key ({KEYS_PAGE}). {says}"
    if error.code == "account_invalid":
        return (
            "Account not connected: the key has no access to the account in `account_id` or `account_ids`. Correct the option,"
            f" empty it to read the key's own account, or have that account connect to your platform again. {says}"
        )
    if error.code == "platform_account_required":
        return (
            "Account not connected: the key is no Connect platform's. Empty the option `account_id`, or `account_ids` and set"
            f" `accounts` to `own`. {says}"
        )
    if error.is_missing_permission:
        needs = _as_rows(missing_rows(error, permission, rows))
        return (
            f"Permission denied: the key may not read this. Set {needs} in the key's form at {KEYS_PAGE}, or leave the stream"
            f" out. {says}"
        )
    if error.limited:
        return f"Rate limit exceeded: Stripe kept refusing for too many requests. Lower `call_rate_limit`. {says}"
    if "Invalid Stripe API version" in error.message:
        return f"Stripe does not know the API version that this connector reads: update the connector. {says}"
    if error.kind == "config" and not error.status:
        return str(error)
    if error.retryable:
        return f"Stripe could not be read, and trying again did not help. The next sync goes on from here. {error}"
    return f"Stripe refused a request in a way that trying again can't mend: {error}"


def own_words(message: str) -> str:
    """Without those of Stripe, which hold the request's id."""
    return message.partition(" Stripe says: ")[0]


def missing_rows(error: StripeError, permission: str, rows: Rows) -> list[str]:
    """The rows of a key's form to set: those that Stripe names, by their rows or in its older texts by their tokens, which may
    be another object's that is shown inside; else the stream's own, if it is known."""
    named = re.findall(r'"([^"]+) Read"', error.message)
    named += [rows[token] for token in re.findall(r"'rak_(\w+)'", error.message) if token in rows and not named]
    return list(dict.fromkeys(named)) or [permission][: bool(permission)]


def _as_rows(rows: Iterable[str]) -> str:
    return ", ".join(f'"{row}: Read"' for row in rows) or "what Stripe names"


_KEY_FIXES = {
    "expired": f"Invalid API Key: the key has expired. Create a new one at {KEYS_PAGE} and put it into `secret_key`.",
    "address": (
        "Invalid API Key: the key may not be used from this machine's IP address. Allow the address in the key's settings"
        f" at {KEYS_PAGE}."
    ),
    "invalid": (
        "Invalid API Key: Stripe does not know the key, or it was revoked. Copy the key again, or create a new one at"
        f" {KEYS_PAGE}, and put it into `secret_key`."
    ),
}


def _reason_of_401(error: StripeError) -> str:
    if error.code == "api_key_expired" or error.message.startswith("Expired"):
        return "expired"
    return "address" if "IP address" in error.message else "invalid"


def not_to_be_read(error: StripeError, permission: str, rows: Rows, absent: str = "") -> str:
    """In a few words why a stream can't be read; `absent`: the product that the account does not have."""
    if absent:
        return f"the account does not have {absent}"
    return (
        f"needs {_as_rows(missing_rows(error, permission, rows))}"
        if error.is_missing_permission
        else f"Stripe says: {error.message}"
    )


# ---------------------------------------------------------------------- check


_MOST_ROWS_WITH_STREAMS = 10


def nothing_readable(needs: Iterable[Sequence[str]], error: StripeError) -> str:
    rows = sorted({row for each in needs for row in each})
    what = "the key may read none of the streams that need a permission"
    return f"Permission denied: {what}. Set in its form: {_as_rows(rows)}. Stripe says: {error}"


def not_everything_readable(
    needs: Mapping[str, Sequence[str]], refused: Sequence[str], of: int, rows: Rows, is_test: bool
) -> str:
    """`needs`: by the stream's name the rows that it needs. `refused` for other reasons, of so many streams."""
    streams: dict[str, list[str]] = {}
    for name in sorted(needs):
        streams.setdefault(_as_rows(needs[name]), []).append(name)
    has_many = len(streams) > _MOST_ROWS_WITH_STREAMS
    what = "; ".join(row if has_many else f"{row} ({', '.join(names)})" for row, names in sorted(streams.items()))
    message = f"The key may read {of - len(needs) - len(refused)} of {of} streams."
    if needs:
        message += f" Permission denied for the others, which need: {what}. Leave them out, or set these rows in the key's form:"
        message += f" {_form_with(needs, rows, is_test)}"
    if refused:
        message += f" Stripe refused, for reasons that the log tells: {', '.join(sorted(refused))}."
    if "events" in needs:
        message += " Without Events, a first sync works and later ones can't see what changed: they fail."
    return message


def _form_with(needs: Mapping[str, Sequence[str]], rows: Rows, is_test: bool) -> str:
    """Where a key is made, with the missing rows filled in."""
    missing = {row for each in needs.values() for row in each}
    tokens = sorted(token for token, row in rows.items() if row in missing)
    page = "https://dashboard.stripe.com/" + ("test/" if is_test else "") + "apikeys/create?name=Airbyte"
    return page + "".join(f"&permissions[]=rak_{token}" for token in tokens)


NO_ACCOUNTS = (
    "No account is connected to the key's, so there is nothing to read. Use a key of the platform that they are connected to, or"
    " set `accounts` to own to read the key's own account."
)


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some_accounts(count: int, is_all: bool, tried: Sequence[str]) -> str:
    how_many = counted(count, "account") if is_all else f"at least {counted(count, 'account')}"
    return f"There {'is' if count == 1 and is_all else 'are'} {how_many} to read. Tried: {', '.join(tried)}."


def of_tried(account: str, message: str) -> str:
    """What `check` tells of one of many accounts."""
    column = " For connected accounts the form's column Connect counts." if "Permission denied" in message else ""
    return f"{account}: {message}{column}"


def not_enabled(product: str, names: Sequence[str]) -> str:
    return f"The account does not have {product}: nothing to read in {', '.join(names)} until it does."


def of_question(error: StripeError, permission: str, rows: Rows) -> str:
    """The same as `of_error`, for who asked and waits for the answer."""
    if error.retryable and not error.limited:
        return f"Stripe could not be read. Try again later. Stripe says: {error}" if error.status else str(error)
    return of_error(error, permission, rows)


# ---------------------------------------------------------------------- what a log tells of a sync


def failed_streams(names: Iterable[str], of: int, messages: set[str]) -> str:
    names = sorted(names)
    what = min(messages) if len(set(map(own_words, messages))) == 1 else "See the error of each."
    return f"{len(names)} of {of} streams failed: {', '.join(names)}. {what}"


_MOST_ACCOUNTS = 10


def failed_accounts(ids: Collection[str], not_tried: int, of: int, why: str) -> str:
    """Of so many accounts these failed, and some were not tried any more; `why` is what is said of one of them."""
    some = ", ".join([*list(ids)[:_MOST_ACCOUNTS], *["..."][: len(ids) > _MOST_ACCOUNTS]])
    what = [f"{len(ids):,} of {of:,} accounts could not be read: {some}."] if ids else []
    what += [f"{not_tried:,} of {of:,} accounts were not tried any more."] if not_tried else []
    return " ".join([*what, why])


def _progress(v: Mapping[str, Any]) -> str:
    done = f", about {v['share']:.0%} of history" if v["share"] is not None else ""
    return f"{counted(v['records'], 'record')} so far{done}, {v['pace']:,.0f} a second, held by {v['holding']}; {v['state']}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


_NOTES: dict[str, tuple[int, Callable[[Mapping[str, Any]], str]]] = {
    "begins": (logging.INFO, lambda v: v["state"]),
    "complete": (logging.INFO, lambda v: f"complete, {counted(v['records'], 'record')}"),
    "progress": (logging.INFO, _progress),
    "request_rate": (logging.INFO, lambda v: f"{v['rate']:,.1f} requests a second"),
    "sum": (
        logging.INFO,
        lambda v: f"{counted(v['records'], 'record')} with {counted(v['requests'], 'request')} in {v['seconds']:,.1f} seconds",
    ),
    "no_events": (
        logging.WARNING,
        lambda v: 'the key may not read events, so later syncs will not see changes. Set "Events: Read".',
    ),
    "full_read_after_gap": (
        logging.INFO,
        lambda v: (
            "read in full again, because Stripe keeps events for 30 days and changes were last followed before that. What was"
            " deleted in the meantime, more than 30 days ago, can't be known."
        ),
    ),
    "not_enabled": (
        logging.WARNING,
        lambda v: (
            f"nothing to read: the account does not have {v['product']}. Once it does, the next sync reads it. Stripe says:"
            f" {v['error']}"
        ),
    ),
    "settling_anew": (
        logging.INFO,
        lambda v: "read in full once, for what was pending when another connector read it",
    ),
    "undeclared": (
        logging.WARNING,
        lambda v: (
            f"has fields that its schema does not declare yet, and that a destination may leave out: {', '.join(v['names'])}"
        ),
    ),
    "mended": (
        logging.WARNING,
        lambda v: f"{v['id']} has a text that was broken inside a character: U+FFFD stands in that place",
    ),
    "parent_refused": (
        logging.WARNING,
        lambda v: f"Stripe does not show what belongs to {v['id']}, which is left out. {v['error']}",
    ),
    "event_without_object": (
        logging.WARNING,
        lambda v: f"the event {v['id']} ({v['type']}) shows no object: what it tells of is not known",
    ),
    "accounts": (
        logging.INFO,
        lambda v: f"{v['count']:,} accounts to read, of which {v['in_full']:,} in full",
    ),
    "accounts_progress": (
        logging.INFO,
        lambda v: f"{v['done']:,} of {v['count']:,} accounts are read, {v['pace']:,.1f} a second",
    ),
    "account_gone": (
        logging.WARNING,
        lambda v: (
            f"the account {v['account']} is not connected to the key's: it is left out until it is. Back within 30 days it goes"
            " on from where it was, later it is read in full."
        ),
    ),
    "failing": (
        logging.WARNING,
        lambda v: f"{v['endpoint']} can't be read now, and is tried again for {_duration(v['seconds'])}. {v['error']}",
    ),
    "recovered": (logging.INFO, lambda v: f"{v['endpoint']} can be read again"),
}


def of_note(name: str, stream: str, values: Mapping[str, Any]) -> tuple[int, str]:
    """The log's level and line for a note of a sync."""
    level, sentence = _NOTES[name]
    whose = f"{stream} of {values['account']}" if "account" in values else stream
    return level, f"{whose}: {sentence(values)}" if stream else sentence(values)
