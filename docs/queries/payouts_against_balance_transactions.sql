-- By currency: what payouts took out of the balance, what the balance transactions say of it, and what else moved.
-- `difference` is 0 when each payout has its transaction. A payout that failed or was canceled comes back with another one.
WITH moved AS (
    SELECT
        balance_transactions.currency,
        sum(net) FILTER (payouts.id IS NULL) AS earned,
        sum(net) FILTER (payouts.id IS NOT NULL) AS taken_out,
        sum(net) AS left_over,
        sum(net) FILTER (balance_transactions.status = 'pending') AS pending
    FROM balance_transactions
    LEFT JOIN payouts ON payouts.balance_transaction = balance_transactions.id
    GROUP BY balance_transactions.currency
),
paid AS (
    SELECT currency, count(*) AS payouts, sum(amount) AS paid_out
    FROM payouts
    GROUP BY currency
)
SELECT
    currency,
    coalesce(payouts, 0) AS payouts,
    coalesce(paid_out, 0) AS paid_out,
    coalesce(paid_out, 0) + coalesce(taken_out, 0) AS difference,
    earned,
    left_over,
    coalesce(pending, 0) AS pending
FROM moved
LEFT JOIN paid USING (currency)
ORDER BY currency;
