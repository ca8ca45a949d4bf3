-- When each key of a connection was last used: an object of times, by the names of the keys.

ALTER TABLE connections ADD COLUMN key_uses TEXT;
