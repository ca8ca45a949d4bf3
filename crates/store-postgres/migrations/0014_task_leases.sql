-- Tasks that run in one process at a time, and the positions of tasks that follow the events.

CREATE TABLE IF NOT EXISTS task_leases (
    name   TEXT NOT NULL PRIMARY KEY,
    holder UUID NOT NULL,
    epoch  INT NOT NULL,
    until  BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS followers (
    name     TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);
