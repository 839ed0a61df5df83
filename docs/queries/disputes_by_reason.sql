-- Disputes by reason: how many, how much, and how they ended.
SELECT
    reason,
    currency,
    count(*) AS disputes,
    sum(amount) AS amount,
    count(*) FILTER (status = 'won') AS won,
    count(*) FILTER (status = 'lost') AS lost,
    count(*) FILTER (status NOT IN ('won', 'lost', 'warning_closed')) AS undecided
FROM disputes
GROUP BY reason, currency
ORDER BY reason, currency;
