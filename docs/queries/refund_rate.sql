-- The share of what was paid that was refunded, by currency. Refunds that failed or were canceled gave nothing back.
WITH paid AS (
    SELECT currency, sum(amount_captured) AS amount
    FROM charges
    WHERE status = 'succeeded' AND captured
    GROUP BY currency
),
refunded AS (
    SELECT currency, count(*) AS refunds, sum(amount) AS amount
    FROM refunds
    WHERE status NOT IN ('failed', 'canceled')
    GROUP BY currency
)
SELECT
    currency,
    coalesce(refunds, 0) AS refunds,
    paid.amount AS paid,
    coalesce(refunded.amount, 0) AS refunded,
    round(coalesce(refunded.amount, 0) / paid.amount, 4) AS rate
FROM paid
LEFT JOIN refunded USING (currency)
ORDER BY currency;
