-- Requests with an Idempotency-Key: the commands that were committed, and the response.

CREATE TABLE idempotency_records (
    tenant      INTEGER NOT NULL,
    connection  BLOB NOT NULL,
    key_hash    BLOB NOT NULL,
    step        INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    doc         TEXT NOT NULL,
    PRIMARY KEY (tenant, connection, key_hash, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_records_by_created ON idempotency_records (created);
