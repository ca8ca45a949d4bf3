-- A process that holds a database alone, to fill or to move it, says so here until a time that it moves on. While it does,
-- no batch is committed. A table of its own, since every batch reads it: what is written elsewhere would conflict.

CREATE TABLE IF NOT EXISTS holds (
    name   TEXT PRIMARY KEY,
    holder UUID NOT NULL,
    until  TIMESTAMPTZ NOT NULL
);
