-- The first schema for engines that speak PostgreSQL's protocol. Each statement stands alone and may run twice; none
-- leaves the subset that docs/scaling.md lists. Texts that are compared are bytes, so that no collation has a say.
-- People are known by their number in other tables, items by their id.

CREATE TABLE IF NOT EXISTS tenants (
    number INT PRIMARY KEY,
    doc    TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS connections (
    id       UUID PRIMARY KEY,
    tenant   INT NOT NULL,
    name_key BYTEA NOT NULL,
    created  BIGINT NOT NULL,
    last_use BIGINT,
    doc      TEXT NOT NULL,
    UNIQUE (tenant, name_key)
);

-- A key is found by the first four bytes of its hash; the whole is compared in constant time.
CREATE TABLE IF NOT EXISTS keys (
    prefix     BYTEA NOT NULL,
    connection UUID NOT NULL,
    PRIMARY KEY (prefix, connection)
);
CREATE INDEX IF NOT EXISTS keys_of_connection ON keys (connection);

CREATE TABLE IF NOT EXISTS users (
    tenant   INT NOT NULL,
    number   INT NOT NULL,
    id       UUID NOT NULL,
    version  INT NOT NULL,
    active   SMALLINT NOT NULL,
    updated  BIGINT NOT NULL,
    password TEXT,
    doc      TEXT NOT NULL,
    PRIMARY KEY (tenant, number),
    UNIQUE (tenant, id)
);
CREATE INDEX IF NOT EXISTS users_by_active ON users (tenant, active, number);
CREATE INDEX IF NOT EXISTS users_by_update ON users (tenant, updated, number);

-- Version and time of the last change count here and not in the document, so that they can be moved on unread.
CREATE TABLE IF NOT EXISTS items (
    tenant   INT NOT NULL,
    id       UUID NOT NULL,
    kind     SMALLINT NOT NULL,
    number   INT NOT NULL,
    version  INT NOT NULL,
    updated  BIGINT NOT NULL,
    name_key BYTEA NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, kind, number)
);
CREATE INDEX IF NOT EXISTS items_by_name ON items (tenant, kind, name_key, number);

-- What no two owners of a tenant may share. The owner is a number: of a person, or of an item of the kind that the
-- space belongs to.
CREATE TABLE IF NOT EXISTS claims (
    tenant INT NOT NULL,
    space  SMALLINT NOT NULL,
    text   BYTEA NOT NULL,
    owner  INT NOT NULL,
    PRIMARY KEY (tenant, space, text)
);

-- E-mails besides the preferred one. Several people may have the same.
CREATE TABLE IF NOT EXISTS mentions (
    tenant INT NOT NULL,
    text   BYTEA NOT NULL,
    owner  INT NOT NULL,
    PRIMARY KEY (tenant, text, owner)
);

-- Who is a member of a group, may see a folder, or belongs to an organisation.
CREATE TABLE IF NOT EXISTS memberships (
    tenant INT NOT NULL,
    item   UUID NOT NULL,
    member INT NOT NULL,
    kind   SMALLINT NOT NULL,
    PRIMARY KEY (tenant, item, member),
    FOREIGN KEY (tenant, item) REFERENCES items (tenant, id),
    FOREIGN KEY (tenant, member) REFERENCES users (tenant, number)
);
CREATE INDEX IF NOT EXISTS memberships_of_user ON memberships (tenant, member);

-- The number up to which numbers were let, per tenant and sort (0 is users, 1 + kind is items).
CREATE TABLE IF NOT EXISTS counters (
    tenant INT NOT NULL,
    sort   SMALLINT NOT NULL,
    last   INT NOT NULL,
    PRIMARY KEY (tenant, sort)
);

-- How many users live in each block of 1,000 numbers: what was counted, and what has come to it since.
CREATE TABLE IF NOT EXISTS blocks (
    tenant INT NOT NULL,
    block  INT NOT NULL,
    live   BIGINT NOT NULL,
    PRIMARY KEY (tenant, block)
);
CREATE TABLE IF NOT EXISTS counted (
    tenant INT NOT NULL,
    block  INT NOT NULL,
    batch  UUID NOT NULL,
    live   BIGINT NOT NULL,
    PRIMARY KEY (tenant, block, batch)
);

-- Each transaction that changes anything is a batch; it gets its position after it was committed. The position is
-- that of its last event; one without events has that of the batch before it.
CREATE TABLE IF NOT EXISTS batches (
    id       UUID PRIMARY KEY,
    at       TIMESTAMPTZ NOT NULL,
    events   INT NOT NULL,
    position BIGINT
);
CREATE INDEX IF NOT EXISTS batches_by_position ON batches (position);

CREATE TABLE IF NOT EXISTS events (
    batch        UUID NOT NULL,
    place        INT NOT NULL,
    tenant       INT NOT NULL,
    at           BIGINT NOT NULL,
    connection   UUID,
    who          TEXT NOT NULL,
    request      TEXT NOT NULL,
    action       SMALLINT NOT NULL,
    before       TEXT,
    after        TEXT,
    joined       TEXT,
    departed     TEXT,
    password_set BOOLEAN NOT NULL,
    PRIMARY KEY (batch, place)
);

-- What one process does for all of them, while it says so often enough.
CREATE TABLE IF NOT EXISTS leases (
    name   TEXT PRIMARY KEY,
    holder UUID NOT NULL,
    until  TIMESTAMPTZ NOT NULL,
    value  BIGINT NOT NULL
);

-- What the installation keeps to itself; all processes on this store share it.
CREATE TABLE IF NOT EXISTS secrets (
    name  TEXT PRIMARY KEY,
    bytes BYTEA NOT NULL
);
