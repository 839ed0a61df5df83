-- What was paid, given back and kept, by the month of the charge (UTC) and its currency.
-- Amounts are in the currency's smallest unit (cents), as Stripe has them.
SELECT
    strftime(to_timestamp(created) AT TIME ZONE 'UTC', '%Y-%m') AS month,
    currency,
    count(*) AS charges,
    sum(amount_captured) AS paid,
    sum(amount_refunded) AS given_back,
    sum(amount_captured - amount_refunded) AS revenue
FROM charges
WHERE status = 'succeeded' AND captured
GROUP BY month, currency
ORDER BY month, currency;
