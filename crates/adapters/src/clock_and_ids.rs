//! The real clock and the real ids: the only place where either is asked of the machine.

use directory::{Clock, IdGenerator, ServerSecret, Time};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// UUIDs of version 7: they rise with time, which keeps the pages of an index together.
pub struct TimeOrderedIds;

impl IdGenerator for TimeOrderedIds {
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn next_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random_secret(&self) -> Option<ServerSecret> {
        random_secret()
    }
}

/// UUIDs of version 4, for databases that keep rows in ranges of their keys: rising ones would all go to one place.
pub struct RandomIds;

impl IdGenerator for RandomIds {
    fn next_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => uuid::Builder::from_random_bytes(bytes).into_uuid(),
            // Without randomness, time still tells identities apart.
            Err(_) => TimeOrderedIds.next_id(),
        }
    }

    fn random_secret(&self) -> Option<ServerSecret> {
        random_secret()
    }
}

fn random_secret() -> Option<ServerSecret> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok().map(|()| ServerSecret(bytes))
}
