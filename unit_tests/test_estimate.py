"""What an estimate looks like; that it is near what is there, and costs little, is in integration_tests."""

from __future__ import annotations

from source_stripe.api.pace import Pace
from source_stripe.estimate import Estimate, table

PACE = Pace(100, 25)


def test_the_table_tells_what_is_known_exactly_from_what_is_estimated() -> None:
    known = [
        Estimate("charges", 512_345.6, 5124),
        Estimate("coupons", 20, 1, certainty="exact"),
        Estimate("disputes", why='needs "Disputes: Read"'),
        Estimate("invoices", 100_000, 1000, nested=20_000),
        Estimate("persons", None, 2, nested=150, certainty="exact"),
    ]
    assert table(known, PACE, asked=20).splitlines() == [
        "stream          objects    requests   minutes",
        "charges       ~ 510,000     ~ 5,100       3.8",
        "coupons              20           1       0.0",
        'disputes  needs "Disputes: Read"',
        "invoices      ~ 100,000    ~ 21,000      14.8",
        "persons               ?         152       0.1",
        "in all        ~ 610,000    ~ 26,000      14.8",
        "",
        "A first read at 100 requests a second, 25 to one endpoint; 20 requests told.",
        "Objects of a stream with ? stand inside of others, and come on top of the sum.",
    ]


def test_of_a_list_that_was_not_read_to_its_end_there_may_be_more() -> None:
    known = [Estimate("tax_codes", 800, 8, certainty="more"), Estimate("charges", 50, 1)]
    assert table(known, PACE, asked=9).splitlines()[1:4] == [
        "tax_codes          > 800         > 8       0.0",
        "charges             ~ 50         ~ 1       0.0",
        "in all             > 850         > 9       0.0",
    ]


def test_the_table_fits_a_terminal_of_eighty_columns() -> None:
    long = Estimate("treasury_outbound_payments_of_others", why="Stripe says: " + "this account is not set up. " * 9)
    rows = table([long, Estimate("treasury_received_debits", 12_345_678, 123_457, 99)], PACE, asked=999).splitlines()
    assert max(len(row) for row in rows) <= 80
    assert rows[1].endswith("...")
