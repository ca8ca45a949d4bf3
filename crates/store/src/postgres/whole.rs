//! Checks and dumps of a database, while others work with it.

use super::line::{Session, Target, first_session};
use super::migrations::{self, May};
use super::trouble::Trouble;
use super::{Address, OpenError, Postgres, ServerOptions, check, dump, fill};
use crate::archive::{ArchiveError, EntrySink};
use crate::{CheckReport, sql};
use std::sync::Arc;

impl Postgres {
    /// What is wrong in a database: it is read whole, and nothing is changed.
    pub fn check(address: &Address, options: &ServerOptions) -> Result<CheckReport, OpenError> {
        let checked = alone(address, options, May::Read, async |session| {
            is_whole(session, address).await?;
            let mut tries = 0;
            loop {
                match check::check(session).await {
                    // A view of everything can meet writers, and is then taken anew.
                    Err(Trouble::Again(_)) if tries < 20 => {
                        tries += 1;
                        session.say(sql::ROLLBACK.postgres).await?;
                    }
                    done => return Ok(done?),
                }
            }
        });
        checked.map_err(|error| match error {
            ArchiveError::Server(error) => error,
            error => OpenError::Broken(address.to_string(), error.to_string()),
        })
    }

    /// Gives everything a database holds to `to`, as it is now, also while others work with it. Nothing is written.
    pub fn dump(
        address: &Address,
        options: &ServerOptions,
        to: &mut EntrySink<'_>,
    ) -> Result<(), ArchiveError> {
        alone(address, options, May::Read, async |session| {
            is_whole(session, address).await?;
            dump::all(session, to).await
        })
    }
}

/// Refuses a database that holds only a part of what it is to hold.
pub(super) async fn is_whole(session: &Session, address: &Address) -> Result<(), ArchiveError> {
    match fill::under_way(session).await? {
        Some(filling) => Err(OpenError::Unfinished(address.to_string(), filling.origin).into()),
        None => Ok(()),
    }
}

/// Does something over one connection to a database that is up to date, and waits for it.
fn alone<T>(
    address: &Address,
    options: &ServerOptions,
    may: May,
    task: impl AsyncFnOnce(&Session) -> Result<T, ArchiveError>,
) -> Result<T, ArchiveError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OpenError::Thread)?;
    let (place, names) = (runtime.handle().clone(), options.named_statements);
    let target = Arc::new(Target::new(address.clone(), place, names, may == May::Read));
    let me = options.ids.next_id();
    runtime.block_on(async {
        let session = first_session(&target).await.map_err(|trouble| OpenError::of(address, &trouble))?;
        migrations::run(&session, address, me, may).await?;
        task(&session).await
    })
}
