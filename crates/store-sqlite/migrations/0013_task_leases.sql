-- Tasks that run in one process at a time, and the positions of tasks that follow the events.

CREATE TABLE task_leases (
    name   TEXT NOT NULL PRIMARY KEY,
    holder BLOB NOT NULL,
    epoch  INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE followers (
    name     TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
