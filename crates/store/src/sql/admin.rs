//! Tenants, connections, secrets, migrations, leases and locks.

use super::{Sql, per_engine, portable, statements};

statements! {
    TENANT_EXISTS = portable("SELECT 1 FROM tenants WHERE number = $1");
    HIGHEST_TENANT = portable("SELECT max(number) FROM tenants");

    /// The server process of this connection. Databases without processes always return the same value.
    BACKEND_PID = per_engine("", "SELECT pg_backend_pid()");
    PREFER_INDEXES = per_engine("", "SET enable_seqscan = off; SET jit = off");
    SHOW_READ_ONLY = per_engine("", "SHOW transaction_read_only");
    IN_RECOVERY = per_engine("", "SELECT pg_is_in_recovery()");
    PING = portable("SELECT count(*) FROM secrets");

    RANDOM = per_engine("SELECT random()", "");

    CREATE_MIGRATIONS_TABLE = per_engine(
        "CREATE TABLE IF NOT EXISTS migrations
        (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS migrations
        (number INT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)",
    );
    CREATE_LEASES_TABLE = per_engine(
        "",
        "CREATE TABLE IF NOT EXISTS leases
        (name TEXT PRIMARY KEY, holder UUID NOT NULL, until TIMESTAMPTZ NOT NULL, value BIGINT NOT NULL)",
    );
    COPY_STORE = per_engine("VACUUM INTO ?1", "");
    NEWEST_MIGRATION = per_engine("SELECT max(number) FROM migrations", "");
    MIGRATION_CHECKSUM = per_engine("SELECT checksum FROM migrations WHERE number = ?1", "");
    /// Of processes that have ended.
    END_LEASES = per_engine("UPDATE task_leases SET until = 0 WHERE until > 0", "");
    /// Also counts the objects of other programs.
    COUNT_SCHEMA_OBJECTS = per_engine("SELECT count(*) FROM sqlite_schema", "");
    APPLIED_MIGRATIONS = portable("SELECT number, checksum FROM migrations ORDER BY number");
    ADD_MIGRATION = per_engine(
        "INSERT INTO migrations (number, name, checksum) VALUES (?1, ?2, ?3)",
        "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3) ON CONFLICT (number) DO NOTHING",
    );

    /// The time for the following statements, which have it as a parameter: distributed databases
    /// reject statements whose result could differ between their nodes.
    DATABASE_TIME = per_engine("", "SELECT clock_timestamp()");
    /// Acquires or renews a lease until the time in the fourth parameter, unless another process holds it.
    ACQUIRE_LEASE = per_engine(
        "",
        "INSERT INTO leases (name, holder, until, value) VALUES ($1, $2, $4, 0)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE leases.holder = excluded.holder OR leases.until < $3
        RETURNING value",
    );
    /// Other processes that have the database open. Those of version 0.1.0 have no lease but that of the sequencer, which
    /// one of them always holds.
    OTHER_PROCESS_LEASES = per_engine(
        "",
        "SELECT name FROM leases WHERE (name = 'sealer' OR name LIKE 'process %') AND holder <> $1
        AND until > $2",
    );
    /// Removes the lease of this process, and those of processes that ended without removing theirs.
    REMOVE_PROCESS_LEASES = per_engine(
        "",
        "DELETE FROM leases WHERE name LIKE 'process %' AND (holder = $1 OR until < $2)",
    );
    /// Locks the whole database until the time in the third parameter or renews the lock, unless another process holds it.
    ACQUIRE_EXCLUSIVE_LOCK = per_engine(
        "",
        "INSERT INTO holds (name, holder, until) VALUES ('store', $1, $3)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE holds.holder = excluded.holder OR holds.until < $2
        RETURNING name",
    );
    /// Whether a process has locked the database. Earlier versions use a lease for it.
    EXCLUSIVE_LOCK_HOLDER = per_engine(
        "",
        "SELECT holder FROM holds WHERE until > $1
        UNION ALL SELECT holder FROM leases WHERE name = 'hold' AND until > $1",
    );
    RELEASE_EXCLUSIVE_LOCK = per_engine("", "UPDATE holds SET until = $2 WHERE holder = $1");
    /// Only the holder can advance the value.
    ADVANCE_LEASE_VALUE = per_engine(
        "",
        "UPDATE leases SET value = value + $3 WHERE name = $1 AND holder = $2 RETURNING value",
    );
    RELEASE_LEASE = per_engine(
        "",
        "UPDATE leases SET until = $3 WHERE name = $1 AND holder = $2",
    );

    /// Allocates the next numbers of a sequence to this process.
    ALLOCATE_NUMBERS = per_engine(
        "",
        "INSERT INTO counters (tenant, sort, last) VALUES ($1, $2, $3 + $4)
        ON CONFLICT (tenant, sort) DO UPDATE SET last = counters.last + $4 RETURNING last",
    );
    /// Returns unused numbers, if they were the last ones allocated.
    RETURN_UNUSED_NUMBERS = per_engine(
        "",
        "UPDATE counters SET last = $3 WHERE tenant = $1 AND sort = $2 AND last = $4",
    );
}
