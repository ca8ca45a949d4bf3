//! Checks a whole store: redundant data must agree.

use crate::archive::{ArchiveError, Snapshot, StoredUser, StoredUserState, for_each_page, rows_by_page};
use crate::check_report::{CheckReport, TenantChecker, filter_roles};
use crate::event_row::{EventEntry, kind_and_subjects};
use crate::page_builder::block_of;
use crate::unique_keys::{self, UniqueKey};
use directory::{ItemKind, Record, Role, RowReader, TABLES, Tenant, TenantNumber, User, Value};
use std::collections::{BTreeMap, BTreeSet};

pub async fn check(stored: &impl Snapshot) -> Result<CheckReport, ArchiveError> {
    let mut report = CheckReport { errors: stored.damage().await?, ..CheckReport::default() };
    // In a damaged store, further checks are pointless.
    if !report.errors.is_empty() {
        return Ok(report);
    }
    for row in stored.rows(Tenant::table().all()).await? {
        let tenant = Tenant::from_row(&row)?;
        let reader = RowReader::new(Tenant::table(), &row);
        let column = |place| Ok::<_, ArchiveError>(reader.integer(place)?.unwrap_or(0));
        let columns = (column(0)?, column(Tenant::VERSION_COLUMN)?);
        report.check_tenant(&tenant, columns);
        check_tenant(stored, tenant.number, &mut report).await?;
    }
    check_declared_tables(stored, &mut report).await?;
    check_event_subjects(stored, &mut report).await?;
    report.errors.extend(stored.contradictions().await?);
    report.truncate_errors();
    Ok(report)
}

/// Reads every row of the declared tables. Rows of a tenant must have one.
async fn check_declared_tables(stored: &impl Snapshot, report: &mut CheckReport) -> Result<(), ArchiveError> {
    let tenants = stored.rows(Tenant::table().all()).await?;
    let tenants: BTreeSet<Value> = tenants.into_iter().filter_map(|row| row.into_iter().next()).collect();
    // 0 stands for no tenant.
    let is_missing = |tenant: &Value| *tenant != Value::Int(0) && !tenants.contains(tenant);
    for table in TABLES.iter().map(|table| table()) {
        let read = rows_by_page(stored, table.all(), |row| {
            let tenant = row.first().filter(|tenant| table.is_by_tenant() && is_missing(tenant));
            report.errors.extend(tenant.map(|tenant| {
                format!("table {}: a row belongs to tenant {tenant:?}, which does not exist", table.name)
            }));
            Ok(())
        });
        match read.await {
            Err(ArchiveError::Store(text)) => report.errors.push(text),
            other => other?,
        }
    }
    Ok(())
}

/// Compares the number of rows in the index of event subjects with the events.
async fn check_event_subjects(stored: &impl Snapshot, report: &mut CheckReport) -> Result<(), ArchiveError> {
    let mut expected = BTreeMap::new();
    let mut count = |event: &EventEntry| match kind_and_subjects(event) {
        Ok((_, subjects)) => {
            *expected.entry(event.tenant).or_insert(0) += i64::try_from(subjects.len()).unwrap_or(i64::MAX);
        }
        Err(_) => report.errors.push(format!("event {} cannot be decoded", event.position)),
    };
    for_each_page(
        0,
        async |after| stored.events(after).await,
        |stored| stored.event.position,
        async |events| {
            for stored in &events {
                count(&stored.event);
            }
            Ok(())
        },
    )
    .await?;
    for batch in stored.events_without_position().await? {
        batch.iter().for_each(&mut count);
    }
    expected.retain(|_, count| *count > 0);
    let actual = stored.event_subject_counts().await?;
    for tenant in expected.keys().chain(actual.keys()).collect::<BTreeSet<_>>() {
        let (expected, actual) = (expected.get(tenant).unwrap_or(&0), actual.get(tenant).unwrap_or(&0));
        if expected != actual {
            let text = format!(
                "tenant {tenant}: the index of event subjects has {actual} rows instead of {expected}; `audit show --user` may omit events"
            );
            report.errors.push(text);
        }
    }
    Ok(())
}

async fn check_tenant(
    stored: &impl Snapshot,
    tenant: TenantNumber,
    report: &mut CheckReport,
) -> Result<(), ArchiveError> {
    let mut roles = Vec::new();
    let ask = async |after| stored.items(tenant, ItemKind::Role, after).await;
    for_each_page(
        None,
        ask,
        |item| Some(item.number),
        async |items| {
            roles.extend(items.into_iter().map(|stored| stored.item));
            Ok(())
        },
    )
    .await?;
    let roles = filter_roles(roles);
    let mut checker = TenantChecker::new(tenant.0);
    let (mut held, mut counts) = (0, BTreeMap::new());
    for_each_page(
        0,
        async |after| stored.users(tenant, after).await,
        |row| row.number,
        async |users| {
            let mut keys = Vec::new();
            for row in users {
                let Some(user) = check_user(row, &roles, &mut checker, report)? else { continue };
                *counts.entry(block_of(user.number)).or_insert(0) += 1;
                keys.extend(unique_keys::of_user(&user).into_iter().map(|key| (key, user.number)));
            }
            held += count_held_keys(stored, tenant, keys, report).await?;
            Ok(())
        },
    )
    .await?;
    for kind in ItemKind::ALL {
        let ask = async |after| stored.items(tenant, kind, after).await;
        for_each_page(
            None,
            ask,
            |item| Some(item.number),
            async |items| {
                let mut keys = Vec::new();
                for row in items {
                    checker.check_item(&row.item, &(row.number, row.id, row.name_key), report);
                    keys.extend(unique_keys::of_item(&row.item).into_iter().map(|key| (key, row.number)));
                }
                held += count_held_keys(stored, tenant, keys, report).await?;
                Ok(())
            },
        )
        .await?;
    }
    let count = stored.count_keys(tenant).await?;
    if count != held {
        report.errors.push(format!("tenant {tenant}: {count} unique keys are stored, users and items need {held}"));
    }
    let (emails, members) = (stored.secondary_emails(tenant).await?, stored.organization_members(tenant).await?);
    let counters = stored.counters().await?;
    let last = counters.iter().find(|(of, sequence, _)| (*of, *sequence) == (tenant.0, 0));
    checker.check_related_rows(&emails, &members, last.map_or(0, |(_, _, last)| *last), report);
    let mut counted = stored.user_counts(tenant).await?;
    counted.retain(|_, users| *users != 0);
    if counted != counts {
        report.errors.push(format!("tenant {tenant}: the stored user counts are wrong"));
    }
    Ok(())
}

/// Checks a row. Returns the user if it is not a deleted one.
fn check_user(
    row: StoredUser,
    roles: &[Role],
    checker: &mut TenantChecker,
    report: &mut CheckReport,
) -> Result<Option<User>, ArchiveError> {
    let user: User = serde_json::from_str(&row.doc)?;
    match row.state {
        StoredUserState::Live { version, active, updated, .. } => {
            checker.check_user(&user, (row.number, row.id, version, active, updated), report);
            report.warn_about_user(checker.tenant(), &user, roles);
            Ok(Some(user))
        }
        StoredUserState::Deleted { external_key, .. } => {
            checker.check_tombstone(&user, &(row.number, row.id, external_key), report);
            Ok(None)
        }
    }
}

/// How many of these keys are stored with their owners; reports the others.
async fn count_held_keys(
    stored: &impl Snapshot,
    tenant: TenantNumber,
    keys: Vec<(UniqueKey, u32)>,
    report: &mut CheckReport,
) -> Result<u64, ArchiveError> {
    let (keys, numbers): (Vec<UniqueKey>, Vec<u32>) = keys.into_iter().unzip();
    let owners = stored.key_owners(tenant, &keys).await?;
    let mut count = 0;
    for ((key, number), owner) in keys.iter().zip(numbers).zip(owners) {
        match owner {
            Some(owner) if owner == number => count += 1,
            Some(owner) => report.warn_shared_key(tenant.0, key, number, owner),
            None => {
                report.errors.push(format!("tenant {tenant}: number {number} does not hold its {:?}", key.field));
            }
        }
    }
    Ok(count)
}
