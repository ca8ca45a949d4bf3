-- How people sign in, the mails that go to them, what is left of those who were deleted, and the chain of events.

-- Sessions and open links, as JSON; the password keeps its own column.
ALTER TABLE users ADD COLUMN account TEXT;

-- The row is the one the person had, and nobody else gets it while they may come back.
CREATE TABLE tombstones (
    pk           INTEGER PRIMARY KEY,
    tenant       INTEGER NOT NULL REFERENCES tenants (number),
    number       INTEGER NOT NULL,
    id           BLOB NOT NULL,
    deleted      INTEGER NOT NULL,
    external_key TEXT,
    password     TEXT,
    doc          TEXT NOT NULL,
    UNIQUE (tenant, number),
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX tombstones_by_external_id ON tombstones (tenant, external_key) WHERE external_key IS NOT NULL;
CREATE INDEX tombstones_by_age ON tombstones (deleted);

-- Mails that wait, and those that have failed, which are not due any more.
CREATE TABLE mails (
    id      BLOB PRIMARY KEY,
    tenant  INTEGER NOT NULL REFERENCES tenants (number),
    user    BLOB NOT NULL,
    due     INTEGER,
    queued  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mails_by_due ON mails (due) WHERE due IS NOT NULL;
CREATE INDEX mails_of_user ON mails (tenant, user);

-- Events from before have no link, and nothing can be said of them.
ALTER TABLE events ADD COLUMN notes TEXT;
ALTER TABLE events ADD COLUMN link BLOB;

-- Where the chain of each tenant's events ends, and how many events are older than it.
CREATE TABLE chains (
    tenant   INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    link     BLOB,
    older    INTEGER NOT NULL
) STRICT;
INSERT INTO chains (tenant, position, link, older) SELECT tenant, 0, NULL, count(*) FROM events GROUP BY tenant;
