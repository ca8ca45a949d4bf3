//! What is done with a database as a whole: to check it, to give everything in it away, and to fill it.

use super::line::{Session, Target, first_session};
use super::migrations::{self, May};
use super::trouble::Trouble;
use super::{Address, OpenError, Postgres, ServerOptions, check, dump, fill};
use crate::archive::{ArchiveError, Origin, Running, Sink, Source, Sums};
use crate::{Checked, sql};
use std::sync::Arc;

impl Postgres {
    /// What is wrong in a database: it is read whole, and nothing is changed.
    pub fn check(address: &Address, options: &ServerOptions) -> Result<Checked, OpenError> {
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
    pub fn dump(address: &Address, options: &ServerOptions, to: &mut Sink<'_>) -> Result<(), ArchiveError> {
        alone(address, options, May::Read, async |session| {
            is_whole(session, address).await?;
            dump::all(session, to).await
        })
    }

    /// Fills an empty database from a stream. One that was cut off goes on where it stood. Until [`Postgres::settle`]
    /// nobody can open it.
    pub fn fill(
        address: &Address,
        options: &ServerOptions,
        origin: &Origin,
        from: &mut Source<'_>,
    ) -> Result<Sums, ArchiveError> {
        let ids = Arc::clone(&options.ids);
        alone(address, options, May::Begin, async |session| {
            fill::fill(session, format!("the store at {address}"), origin, from, &*ids).await
        })
    }

    /// What is in a database that was filled, read back from it.
    pub fn filled(address: &Address, options: &ServerOptions) -> Result<Sums, ArchiveError> {
        alone(address, options, May::Read, async |session| {
            let mut running = Running::default();
            dump::all(session, &mut |entry| running.note(&entry)).await?;
            Ok(running.sums())
        })
    }

    /// Lets a database that was filled be used.
    pub fn settle(address: &Address, options: &ServerOptions) -> Result<(), ArchiveError> {
        alone(address, options, May::Read, async |session| Ok(fill::finish(session).await?))
    }
}

/// Refuses a database that holds only a part of what it is to hold.
async fn is_whole(session: &Session, address: &Address) -> Result<(), ArchiveError> {
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
    let me = options.ids.next();
    runtime.block_on(async {
        let session = first_session(&target).await.map_err(|trouble| OpenError::of(address, &trouble))?;
        migrations::run(&session, address, me, may).await?;
        task(&session).await
    })
}
