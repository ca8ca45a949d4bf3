//! The system clock, and the generators of ids and secrets: the implementations of the directory's ports.

use directory::{Clock, IdGenerator, Time};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// UUID version 7: ids ascend with time, so that new rows go to the same index pages.
pub struct TimeOrderedIds;

impl IdGenerator for TimeOrderedIds {
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn next_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random_secret(&self) -> Option<[u8; 32]> {
        random_secret()
    }
}

/// UUID version 4, for databases that shard by key range: ascending ids would all go to one shard.
pub struct RandomIds;

impl IdGenerator for RandomIds {
    fn next_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => uuid::Builder::from_random_bytes(bytes).into_uuid(),
            // Ids based on time are still unique.
            Err(_) => TimeOrderedIds.next_id(),
        }
    }

    fn random_secret(&self) -> Option<[u8; 32]> {
        random_secret()
    }
}

fn random_secret() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}
