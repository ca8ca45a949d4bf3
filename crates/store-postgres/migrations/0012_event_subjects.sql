-- What each event is about: its kind, and the users, items and connections. The program fills both in for older events.
-- The keys of events and links begin with the tenant, so that databases can distribute rows by tenant.

ALTER TABLE events DROP CONSTRAINT IF EXISTS events_pkey, ADD CONSTRAINT events_of_tenant PRIMARY KEY (tenant, batch, place);
CREATE INDEX IF NOT EXISTS events_by_batch ON events (batch);
ALTER TABLE links DROP CONSTRAINT IF EXISTS links_pkey, ADD CONSTRAINT links_of_tenant PRIMARY KEY (tenant, batch);
CREATE INDEX IF NOT EXISTS links_by_batch ON links (batch);
ALTER TABLE events ADD COLUMN IF NOT EXISTS kind SMALLINT;
CREATE TABLE IF NOT EXISTS event_subjects (
    tenant  INT NOT NULL,
    subject UUID NOT NULL,
    batch   UUID NOT NULL,
    place   INT NOT NULL,
    PRIMARY KEY (tenant, subject, batch, place)
);
