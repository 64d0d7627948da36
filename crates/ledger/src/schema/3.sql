-- Changes that were asked for with one key and are decided together. A batch is
-- a row without money; the money stands with its items, in their order.
ALTER TABLE changes ADD COLUMN items BIGINT;
ALTER TABLE changes ADD COLUMN batch TEXT;
ALTER TABLE changes ADD COLUMN place BIGINT;
-- Of an item that was not made and could be at another time: its answer alone does
-- not keep the key of its batch.
ALTER TABLE changes ADD COLUMN held_up BIGINT;
CREATE INDEX changes_batch ON changes (batch, place) WHERE batch IS NOT NULL;
