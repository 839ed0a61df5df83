-- Every line of every invoice that is open or was given up, with who owes it.
-- An invoice arrives with all its lines inside, however many there are.
SELECT
    invoices.id AS invoice,
    invoices.status,
    coalesce(customers.email, invoices.customer) AS customer,
    invoices.amount_remaining,
    invoices.currency,
    line ->> '$.id' AS line,
    line ->> '$.description' AS description,
    (line ->> '$.amount')::BIGINT AS amount
FROM invoices
CROSS JOIN unnest(json_extract(invoices.lines, '$.data[*]')) AS each_line (line)
LEFT JOIN customers ON customers.id = invoices.customer
WHERE invoices.status IN ('open', 'uncollectible') AND NOT coalesce(invoices.is_deleted, false)
ORDER BY invoice, line;
