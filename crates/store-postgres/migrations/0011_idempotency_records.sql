-- Requests with an Idempotency-Key: the commands that were committed, and the response.

CREATE TABLE IF NOT EXISTS idempotency_records (
    tenant      INT NOT NULL,
    connection  UUID NOT NULL,
    key_hash    BYTEA NOT NULL,
    step        INT NOT NULL,
    created     BIGINT NOT NULL,
    fingerprint BYTEA NOT NULL,
    doc         TEXT NOT NULL,
    PRIMARY KEY (tenant, connection, key_hash, step)
);
CREATE INDEX IF NOT EXISTS idempotency_records_by_created ON idempotency_records (created, tenant, connection, key_hash, step);
