-- Systems that are provisioned, their credentials, and the account of each user in each of them.

CREATE TABLE IF NOT EXISTS targets (
    tenant   INT NOT NULL,
    number   INT NOT NULL,
    name_key BYTEA NOT NULL,
    version  INT NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (tenant, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS targets_by_name ON targets (tenant, name_key);

CREATE TABLE IF NOT EXISTS target_progress (
    tenant      INT NOT NULL,
    target      INT NOT NULL,
    scanned     INT NOT NULL,
    was_empty   INT,
    quarantined BIGINT,
    reason      TEXT,
    reconsidered INTEGER,
    PRIMARY KEY (tenant, target)
);

CREATE TABLE IF NOT EXISTS sealed_secrets (
    tenant       INT NOT NULL,
    owner        BYTEA NOT NULL,
    secret_use   BYTEA NOT NULL,
    version      INT NOT NULL,
    key_id       TEXT NOT NULL,
    sealed       BYTEA NOT NULL,
    created      BIGINT NOT NULL,
    expires      BIGINT,
    last_success BIGINT,
    PRIMARY KEY (tenant, owner, secret_use)
);

-- Each push changes its row twice, and the next due row is found behind the entries of old versions.
CREATE TABLE IF NOT EXISTS remote_users (
    tenant           INT NOT NULL,
    target           INT NOT NULL,
    user_id          UUID NOT NULL,
    shard            INT NOT NULL,
    priority         INT NOT NULL,
    due              BIGINT,
    state            INT NOT NULL,
    fault            INT,
    remote_id        BYTEA,
    target_position  BIGINT NOT NULL,
    applied_position BIGINT NOT NULL,
    in_flight_until  BIGINT,
    attempts         INT NOT NULL,
    first_failed     BIGINT,
    fault_detail     TEXT,
    digest           BYTEA,
    waits_for        UUID,
    version          INT NOT NULL,
    PRIMARY KEY (tenant, target, user_id)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);
-- Conditions that no look-up by key fulfills: after the table was empty, the planner would take any index for it.
CREATE INDEX IF NOT EXISTS remote_users_by_due ON remote_users (tenant, target, shard, priority, due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS remote_users_by_fault ON remote_users (tenant, target, fault, state, user_id) WHERE fault IS NOT NULL;
CREATE INDEX IF NOT EXISTS remote_users_by_awaited ON remote_users (tenant, target, waits_for, user_id) WHERE waits_for IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS remote_users_by_remote_id ON remote_users (tenant, target, remote_id) WHERE remote_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS push_attempts (
    tenant       INT NOT NULL,
    target       INT NOT NULL,
    user_id      UUID NOT NULL,
    at           BIGINT NOT NULL,
    id           UUID NOT NULL,
    action       TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    status       INT,
    milliseconds INT NOT NULL,
    detail       TEXT,
    PRIMARY KEY (tenant, target, user_id, at, id)
);
CREATE INDEX IF NOT EXISTS push_attempts_by_time ON push_attempts (at, tenant, target, user_id, id);
