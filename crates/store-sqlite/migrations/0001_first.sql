-- The first schema. Documents are JSON; what is looked up has a column of its own.

CREATE TABLE tenants (
    number INTEGER PRIMARY KEY,
    doc    TEXT NOT NULL
) STRICT;

CREATE TABLE connections (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    tenant   INTEGER NOT NULL REFERENCES tenants (number),
    name_key TEXT NOT NULL,
    last_use INTEGER,
    doc      TEXT NOT NULL,
    UNIQUE (tenant, name_key)
) STRICT;

-- A key is found by the first four bytes of its hash; the whole is compared in constant time.
CREATE TABLE keys (
    prefix     BLOB NOT NULL,
    connection INTEGER NOT NULL REFERENCES connections (seq),
    PRIMARY KEY (prefix, connection)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_of_connection ON keys (connection);

CREATE TABLE users (
    pk       INTEGER PRIMARY KEY,
    tenant   INTEGER NOT NULL REFERENCES tenants (number),
    number   INTEGER NOT NULL,
    id       BLOB NOT NULL,
    version  INTEGER NOT NULL,
    password TEXT,
    doc      TEXT NOT NULL,
    UNIQUE (tenant, number),
    UNIQUE (tenant, id)
) STRICT;

CREATE TABLE items (
    pk       INTEGER PRIMARY KEY,
    tenant   INTEGER NOT NULL REFERENCES tenants (number),
    kind     INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    id       BLOB NOT NULL,
    version  INTEGER NOT NULL,
    name_key TEXT NOT NULL,
    doc      TEXT NOT NULL,
    UNIQUE (tenant, kind, number),
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX items_by_name ON items (tenant, kind, name_key, number);

-- What no two owners of a tenant may share: sign-in handles, external ids, names of organisations, …
CREATE TABLE claims (
    tenant INTEGER NOT NULL,
    space  INTEGER NOT NULL,
    text   TEXT NOT NULL,
    owner  INTEGER NOT NULL,
    PRIMARY KEY (tenant, space, text)
) STRICT, WITHOUT ROWID;

-- Who is a member of a group, may see a folder, or belongs to an organisation.
CREATE TABLE memberships (
    item INTEGER NOT NULL REFERENCES items (pk),
    user INTEGER NOT NULL REFERENCES users (pk),
    PRIMARY KEY (item, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_of_user ON memberships (user, item);

-- The number last given, per tenant and sort (0 is users, 1 + kind is items).
CREATE TABLE counters (
    tenant INTEGER NOT NULL,
    sort   INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (tenant, sort)
) STRICT, WITHOUT ROWID;

-- How many users live in each block of 1,000 numbers: the way to a deep page that does not walk there.
CREATE TABLE blocks (
    tenant INTEGER NOT NULL,
    block  INTEGER NOT NULL,
    live   INTEGER NOT NULL,
    PRIMARY KEY (tenant, block)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    position     INTEGER PRIMARY KEY,
    tenant       INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    connection   BLOB,
    who          TEXT NOT NULL,
    request      TEXT NOT NULL,
    action       INTEGER NOT NULL,
    before       TEXT,
    after        TEXT,
    joined       TEXT,
    left         TEXT,
    password_set INTEGER NOT NULL
) STRICT;
