-- A schema that is not there yet: the test of upgrades has a migration to make by it, over every row of the largest table.

ALTER TABLE sales ADD COLUMN tip INTEGER CHECK (tip BETWEEN 0 AND 999999999999);
UPDATE sales SET tip = 0;
CREATE INDEX sales_tipped ON sales (tip) WHERE tip > 0;
