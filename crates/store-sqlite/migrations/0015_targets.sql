-- Systems that are provisioned, their credentials, and the account of each user in each of them.

CREATE TABLE targets (
    tenant   INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    name_key TEXT NOT NULL,
    version  INTEGER NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX targets_by_name ON targets (tenant, name_key);

CREATE TABLE target_progress (
    tenant      INTEGER NOT NULL,
    target      INTEGER NOT NULL,
    scanned     INTEGER NOT NULL,
    was_empty   INTEGER,
    quarantined INTEGER,
    reason      TEXT,
    reconsidered INTEGER,
    PRIMARY KEY (tenant, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE sealed_secrets (
    tenant       INTEGER NOT NULL,
    owner        TEXT NOT NULL,
    secret_use   TEXT NOT NULL,
    version      INTEGER NOT NULL,
    key_id       TEXT NOT NULL,
    sealed       BLOB NOT NULL,
    created      INTEGER NOT NULL,
    expires      INTEGER,
    last_success INTEGER,
    PRIMARY KEY (tenant, owner, secret_use)
) STRICT, WITHOUT ROWID;

CREATE TABLE remote_users (
    tenant           INTEGER NOT NULL,
    target           INTEGER NOT NULL,
    user_id          BLOB NOT NULL,
    shard            INTEGER NOT NULL,
    priority         INTEGER NOT NULL,
    due              INTEGER,
    state            INTEGER NOT NULL,
    fault            INTEGER,
    remote_id        TEXT,
    target_position  INTEGER NOT NULL,
    applied_position INTEGER NOT NULL,
    in_flight_until  INTEGER,
    attempts         INTEGER NOT NULL,
    first_failed     INTEGER,
    fault_detail     TEXT,
    digest           BLOB,
    waits_for        BLOB,
    version          INTEGER NOT NULL,
    PRIMARY KEY (tenant, target, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_users_by_due ON remote_users (tenant, target, shard, priority, due) WHERE due IS NOT NULL;
CREATE INDEX remote_users_by_fault ON remote_users (tenant, target, fault, state, user_id) WHERE fault IS NOT NULL;
CREATE INDEX remote_users_by_awaited ON remote_users (tenant, target, waits_for, user_id) WHERE waits_for IS NOT NULL;
CREATE UNIQUE INDEX remote_users_by_remote_id ON remote_users (tenant, target, remote_id) WHERE remote_id IS NOT NULL;

CREATE TABLE push_attempts (
    tenant       INTEGER NOT NULL,
    target       INTEGER NOT NULL,
    user_id      BLOB NOT NULL,
    at           INTEGER NOT NULL,
    id           BLOB NOT NULL,
    action       TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    status       INTEGER,
    milliseconds INTEGER NOT NULL,
    detail       TEXT,
    PRIMARY KEY (tenant, target, user_id, at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX push_attempts_by_time ON push_attempts (at);
