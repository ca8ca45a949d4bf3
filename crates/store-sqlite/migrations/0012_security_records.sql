-- Failed sign-ins, invalid keys, rejected requests, exports and downloads, counted by minute.

CREATE TABLE security_records (
    tenant  INTEGER NOT NULL,
    minute  INTEGER NOT NULL,
    id      BLOB NOT NULL,
    kind    INTEGER NOT NULL,
    source  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    user_id BLOB,
    count   INTEGER NOT NULL,
    PRIMARY KEY (tenant, minute, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX security_records_by_minute ON security_records (minute);
