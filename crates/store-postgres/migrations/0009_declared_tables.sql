-- Connections, their keys and mails have the same columns on every engine, so that one declaration describes them.

UPDATE tenants SET version = coalesce(version, 0);

CREATE TABLE IF NOT EXISTS outgoing_mails (
    tenant  INT NOT NULL,
    id      UUID NOT NULL,
    user_id UUID NOT NULL,
    due     BIGINT,
    queued  BIGINT NOT NULL,
    version INT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS outgoing_mails_by_due ON outgoing_mails (due);
CREATE INDEX IF NOT EXISTS outgoing_mails_of_user ON outgoing_mails (tenant, user_id);
INSERT INTO outgoing_mails (tenant, id, user_id, due, queued, version, doc)
    SELECT m.tenant, m.id, m.person, m.due, m.queued, m.version, m.doc FROM mails m ON CONFLICT DO NOTHING;
