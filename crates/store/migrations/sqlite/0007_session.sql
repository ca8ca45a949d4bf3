-- The id of the last opening of the store by a process that was alone with it. The same id is in the lock file beside the
-- store: a write-ahead log that was left behind belongs to the store only if both agree.

CREATE TABLE session (
    id BLOB NOT NULL
) STRICT;
INSERT INTO session (id) VALUES (randomblob(16));
