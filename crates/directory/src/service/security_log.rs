//! Counts security events in memory, and stores the counts every few seconds.

use super::{Caller, Directory};
use crate::authorization::Query;
use crate::{
    DirectoryError, Purpose, Record, RowWrite, SecurityEvent, SecurityKind, SecurityRecord, TenantNumber, Time,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};

/// Different events that wait to be stored. Further ones are counted without their source.
const MAX_PENDING: usize = 10_000;
/// Rows with a source per process, tenant and day. Further ones are counted without their source.
pub(crate) const MAX_ROWS_PER_DAY: u32 = 10_000;
const MICROS_PER_MINUTE: i64 = 60_000_000;
const MINUTES_PER_DAY: i64 = 24 * 60;
/// Rows read or written at a time.
const BATCH: u32 = 250;

/// Counts by minute and event.
type Counts = BTreeMap<(Time, SecurityEvent), u32>;

#[derive(Default)]
pub(super) struct SecurityLog {
    pending: Mutex<Counts>,
    /// Rows of each tenant on its last day, by its start.
    stored_rows: Mutex<HashMap<TenantNumber, (Time, u32)>>,
}

impl SecurityLog {
    fn count(&self, minute: Time, mut event: SecurityEvent, count: u32) {
        let mut pending = self.pending.lock();
        if pending.len() >= MAX_PENDING && !pending.contains_key(&(minute, event.clone())) {
            event = without_source(event);
        }
        let total = pending.entry((minute, event)).or_default();
        *total = total.saturating_add(count);
    }
}

fn without_source(event: SecurityEvent) -> SecurityEvent {
    SecurityEvent { source: String::new(), user: None, ..event }
}

fn start_of(unit_micros: i64, time: Time) -> Time {
    Time(time.0 - time.0.rem_euclid(unit_micros))
}

impl Directory {
    /// Counts an event. It is stored a few seconds later.
    pub fn record_security_event(&self, event: SecurityEvent) {
        self.security_log.count(start_of(MICROS_PER_MINUTE, self.clock.now()), event, 1);
    }

    /// Stores the counts. Counts that cannot be stored are kept for the next time.
    pub async fn flush_security_log(&self) -> Result<(), DirectoryError> {
        let counts = std::mem::take(&mut *self.security_log.pending.lock());
        let mut by_tenant: BTreeMap<TenantNumber, Counts> = BTreeMap::new();
        for ((minute, event), count) in counts {
            by_tenant.entry(event.tenant).or_default().insert((minute, event), count);
        }
        let mut result = Ok(());
        for (tenant, counts) in by_tenant {
            if let Err(error) = self.store_counts(tenant, counts.clone()).await {
                result = Err(error.clone());
                // It would fail again.
                if matches!(error, DirectoryError::Internal(_)) {
                    continue;
                }
                for ((minute, event), count) in counts {
                    self.security_log.count(minute, event, count);
                }
            }
        }
        result
    }

    async fn store_counts(&self, tenant: TenantNumber, counts: Counts) -> Result<(), DirectoryError> {
        let day = start_of(MICROS_PER_MINUTE * MINUTES_PER_DAY, self.clock.now());
        let known = self.security_log.stored_rows.lock().get(&tenant).copied().filter(|(of, _)| *of == day);
        let mut rows = match known {
            Some((_, rows)) => rows,
            None => u32::try_from(self.security_records_since(tenant, day).await?.len()).unwrap_or(u32::MAX),
        };
        let mut kept = Counts::new();
        for ((minute, event), count) in counts {
            let is_below_limit = rows < MAX_ROWS_PER_DAY;
            rows += u32::from(is_below_limit);
            // Past the limit: one row per flush for each kind and reason.
            let key = if is_below_limit { (minute, event) } else { (day, without_source(event)) };
            let total = kept.entry(key).or_insert(0);
            *total = u32::saturating_add(*total, count);
        }
        let records = kept.into_iter().map(|((minute, event), count)| {
            let id = self.ids.next_id();
            SecurityRecord { id, minute, event, count }.to_row()
        });
        let rows_to_add = records.collect::<Result<Vec<_>, _>>();
        let rows_to_add = rows_to_add.map_err(|error| DirectoryError::Internal(error.to_string()))?;
        let writes = rows_to_add.into_iter().map(|row| RowWrite::Insert(SecurityRecord::table(), row)).collect();
        self.commit_rows(&Caller::system(Purpose::Retention, tenant), writes).await?;
        self.security_log.stored_rows.lock().insert(tenant, (day, rows));
        Ok(())
    }

    /// The records of the caller's tenant from a time on, oldest first; for [`Caller::NO_TENANT`], those of requests
    /// without a tenant.
    pub async fn security_records(
        &self,
        caller: &Caller,
        since: Time,
        kind: Option<SecurityKind>,
    ) -> Result<Vec<SecurityRecord>, DirectoryError> {
        let has_tenant = caller.tenant != Caller::NO_TENANT;
        let query = if has_tenant { Query::SecurityRecords } else { Query::SecurityRecordsOfNoTenant };
        self.authorize(caller, query).await?;
        let mut records = self.security_records_since(caller.tenant, since).await?;
        records.retain(|record| kind.is_none_or(|kind| record.event.kind == kind));
        Ok(records)
    }

    async fn security_records_since(
        &self,
        tenant: TenantNumber,
        since: Time,
    ) -> Result<Vec<SecurityRecord>, DirectoryError> {
        let mut all: Vec<SecurityRecord> = Vec::new();
        let mut query = SecurityRecord::since(tenant, since, BATCH);
        loop {
            let page: Vec<SecurityRecord> = self.records(query).await?;
            let Some(last) = page.last() else { return Ok(all) };
            query = last.after(BATCH);
            all.extend(page);
        }
    }

    /// Deletes records that are older than this many days.
    pub async fn delete_old_security_records(&self, days: u32) -> Result<(), DirectoryError> {
        let end = self.clock.now().plus_seconds(-i64::from(days) * 24 * 3600);
        loop {
            let old: Vec<SecurityRecord> = self.records(SecurityRecord::until(end, BATCH)).await?;
            if old.is_empty() {
                return Ok(());
            }
            self.commit_rows(&Caller::task(Purpose::Retention), old.iter().map(SecurityRecord::deletion).collect())
                .await?;
        }
    }
}
