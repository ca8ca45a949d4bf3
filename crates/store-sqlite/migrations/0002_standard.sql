-- What the standard dialect filters by: whether somebody is switched on, when they last changed, and every e-mail.

ALTER TABLE users ADD COLUMN active INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN updated INTEGER NOT NULL DEFAULT 0;
UPDATE users SET active = json_extract(doc, '$.status') IN ('invited', 'active'), updated = json_extract(doc, '$.updated');
CREATE INDEX users_by_active ON users (tenant, active, number);
CREATE INDEX users_by_update ON users (tenant, updated, number);

-- E-mails besides the preferred one, which is a claim. Several people may have the same.
CREATE TABLE mentions (
    tenant INTEGER NOT NULL,
    text   TEXT NOT NULL,
    owner  INTEGER NOT NULL REFERENCES users (pk),
    PRIMARY KEY (tenant, text, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_of_user ON mentions (owner);

-- What the installation keeps to itself; all processes on this store share it.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
