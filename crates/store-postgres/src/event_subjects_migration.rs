//! The part of the migration `event subjects` that SQL cannot do. It may run twice.

use super::events::entry_without_digest;
use super::managed_connection::Session;
use super::param::{Param, int};
use super::pg_error::PgError;
use store::event_row::kind_and_known_subjects;
use store::sql;
use uuid::Uuid;

/// Events per query.
const PAGE: i64 = 2_000;

/// Runs the step. `renew_lease` renews the migration lease and fails if another process holds it.
pub(super) async fn add_event_subjects<F>(session: &Session, renew_lease: impl Fn() -> F) -> Result<(), PgError>
where
    F: Future<Output = Result<(), PgError>>,
{
    let (mut last, mut count) = ((i32::MIN, Uuid::nil(), i32::MIN), 0);
    loop {
        renew_lease().await?;
        let params: [&dyn Param; 4] = [&last.0, &last.1, &last.2, &PAGE];
        let rows = session.query(sql::EVENTS_WITHOUT_KIND.postgres, &params).await?;
        if rows.is_empty() {
            return Ok(());
        }
        count += rows.len();
        tracing::info!(events = count, "upgrading the history");
        let mut events = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut subjects = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let entry = entry_without_digest(row, 0)?;
            let (kind, ids) = kind_and_known_subjects(&entry);
            last = (int(entry.tenant), row.try_get(13)?, row.try_get(0)?);
            events.0.push(last.0);
            events.1.push(last.1);
            events.2.push(last.2);
            events.3.push(i16::from(kind.code()));
            for subject in ids {
                subjects.0.push(last.0);
                subjects.1.push(subject);
                subjects.2.push(last.1);
                subjects.3.push(last.2);
            }
        }
        let params: [&dyn Param; 4] = [&subjects.0, &subjects.1, &subjects.2, &subjects.3];
        session.execute(sql::BULK_INSERT_EVENT_SUBJECTS.postgres, &params).await?;
        let params: [&dyn Param; 4] = [&events.0, &events.1, &events.2, &events.3];
        session.execute(sql::SET_EVENT_KIND.postgres, &params).await?;
    }
}
