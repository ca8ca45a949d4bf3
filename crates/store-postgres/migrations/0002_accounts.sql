-- How people sign in, the mails that go to them, what is left of those who were deleted, and the chain of events.

-- Sessions and open links, as JSON; the password keeps its own column.
ALTER TABLE users ADD COLUMN IF NOT EXISTS account TEXT;

CREATE TABLE IF NOT EXISTS tombstones (
    tenant       INT NOT NULL,
    number       INT NOT NULL,
    id           UUID NOT NULL,
    deleted      BIGINT NOT NULL,
    external_key BYTEA,
    password     TEXT,
    doc          TEXT NOT NULL,
    PRIMARY KEY (tenant, number),
    UNIQUE (tenant, id)
);
CREATE INDEX IF NOT EXISTS tombstones_by_external_id ON tombstones (tenant, external_key);
CREATE INDEX IF NOT EXISTS tombstones_by_age ON tombstones (deleted);

-- Mails that wait, and those that have failed, which are not due any more.
CREATE TABLE IF NOT EXISTS mails (
    id      UUID PRIMARY KEY,
    tenant  INT NOT NULL,
    person  UUID NOT NULL,
    due     BIGINT,
    queued  BIGINT NOT NULL,
    version INT NOT NULL,
    doc     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS mails_by_due ON mails (due);
CREATE INDEX IF NOT EXISTS mails_of_person ON mails (tenant, person);

-- Events from before have no digest, and nothing can be said of them.
ALTER TABLE events ADD COLUMN IF NOT EXISTS notes TEXT;
ALTER TABLE events ADD COLUMN IF NOT EXISTS digest BYTEA;

-- One link for each tenant that a batch has events of; where each tenant's chain ends, and how many events are older.
CREATE TABLE IF NOT EXISTS links (
    batch  UUID NOT NULL,
    tenant INT NOT NULL,
    link   BYTEA NOT NULL,
    PRIMARY KEY (batch, tenant)
);
CREATE TABLE IF NOT EXISTS chains (
    tenant   INT PRIMARY KEY,
    position BIGINT NOT NULL,
    link     BYTEA,
    older    BIGINT NOT NULL
);
INSERT INTO chains (tenant, position, link, older)
    SELECT e.tenant, 0, NULL, count(*) FROM events e GROUP BY e.tenant ON CONFLICT (tenant) DO NOTHING;
