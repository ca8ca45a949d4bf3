-- Connections, their keys and mails have the same columns on every engine, so that one declaration describes them.

ALTER TABLE connections ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
UPDATE connections SET created = json_extract(doc, '$.created');

ALTER TABLE keys RENAME TO old_keys;
DROP INDEX keys_of_connection;
CREATE TABLE keys (
    prefix     BLOB NOT NULL,
    connection BLOB NOT NULL REFERENCES connections (id),
    PRIMARY KEY (prefix, connection)
) STRICT, WITHOUT ROWID;
INSERT INTO keys (prefix, connection)
SELECT k.prefix, c.id FROM old_keys k JOIN connections c ON c.seq = k.connection;
DROP TABLE old_keys;

CREATE TABLE outgoing_mails (
    tenant  INTEGER NOT NULL REFERENCES tenants (number),
    id      BLOB NOT NULL,
    user_id BLOB NOT NULL,
    due     INTEGER,
    queued  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
INSERT INTO outgoing_mails (tenant, id, user_id, due, queued, version, doc)
SELECT tenant, id, user, due, queued, version, doc FROM mails;
DROP TABLE mails;
CREATE INDEX outgoing_mails_by_due ON outgoing_mails (due) WHERE due IS NOT NULL;
CREATE INDEX outgoing_mails_of_user ON outgoing_mails (tenant, user_id);
