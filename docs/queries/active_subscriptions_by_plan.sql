-- Active subscriptions by the price (plan) of their items, with the product's name.
-- `is_deleted` rows are kept by destinations that upsert: they are left out in every question about what exists.
WITH items AS (
    SELECT
        subscriptions.id AS subscription,
        unnest(json_extract(subscriptions.items, '$.data[*]')) AS item
    FROM subscriptions
    WHERE status = 'active' AND NOT coalesce(is_deleted, false)
)
SELECT
    item ->> '$.price.id' AS price,
    any_value(products.name) AS product,
    item ->> '$.price.currency' AS currency,
    item ->> '$.price.recurring.interval' AS interval,
    count(DISTINCT subscription) AS subscriptions,
    sum((item ->> '$.quantity')::BIGINT) AS quantity
FROM items
LEFT JOIN products ON products.id = (item ->> '$.price.product')
GROUP BY price, currency, interval
ORDER BY subscriptions DESC, price;
