-- Failed sign-ins, invalid keys, rejected requests, exports and downloads, counted by minute.

CREATE TABLE IF NOT EXISTS security_records (
    tenant  INT NOT NULL,
    minute  BIGINT NOT NULL,
    id      UUID NOT NULL,
    kind    INT NOT NULL,
    source  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    user_id UUID,
    count   INT NOT NULL,
    PRIMARY KEY (tenant, minute, id)
);
CREATE INDEX IF NOT EXISTS security_records_by_minute ON security_records (minute, tenant, id);
