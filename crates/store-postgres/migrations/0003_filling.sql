-- A store that is being filled from a backup or from another store says so until all of it is there: nobody works with a
-- part. How many entries have arrived, and their digest, so that it can go on where it was cut off.

CREATE TABLE IF NOT EXISTS filling (
    origin TEXT PRIMARY KEY,
    done   BIGINT NOT NULL,
    sum    BYTEA NOT NULL
);
