-- What each event is about: its kind, and the users, items and connections. The program fills both in for older events.

ALTER TABLE events ADD COLUMN kind INTEGER;
CREATE INDEX events_of_tenant ON events (tenant, position);
CREATE TABLE event_subjects (
    tenant   INTEGER NOT NULL,
    subject  BLOB NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tenant, subject, position)
) STRICT, WITHOUT ROWID;
