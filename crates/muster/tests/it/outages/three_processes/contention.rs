//! Emails that all threads compete for: at any time, at most one user has each.

use super::SharedState;
use super::worker::Worker;
use crate::outages::choose;
use crate::outages::client::{Dialect, Failure, TestUser};

/// The owner of an email, according to acknowledgements.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum EmailOwner {
    #[default]
    Nobody,
    Held(u64),
    /// The owner is deleting its user.
    Releasing(u64),
    /// A request got no response; the owner is not tracked from then on.
    Unknown,
}

pub(super) fn contested_email(number: usize) -> String {
    format!("prize{number}@three.example")
}

/// Claims an email, or releases it.
pub(super) fn contend(owner: &mut Worker) {
    let number = usize::try_from(owner.random()).expect("a number") % owner.shared.contested_emails.len();
    if *owner.shared.contested_emails[number].lock() == EmailOwner::Unknown {
        return;
    }
    match owner.held_emails.remove(&number) {
        Some(person) => release(owner, number, person),
        None => claim(owner, number),
    }
}

fn claim(owner: &mut Worker, number: usize) {
    let world: &SharedState = owner.shared;
    let person = owner.unique_user(contested_email(number));
    let api = choose(&Dialect::ALL, owner.random());
    let (_, client) = world.client(owner.random(), None);
    let answer = client.create(api, &person);
    let mut prize = world.contested_emails[number].lock();
    match answer {
        Ok(()) => {
            assert!(!matches!(*prize, EmailOwner::Held(_)), "{person:?} has a second owner: {prize:?}");
            if *prize != EmailOwner::Unknown {
                *prize = EmailOwner::Held(owner.name);
            }
            owner.expect_event(&person.email, "created");
            owner.held_emails.insert(number, person);
        }
        Err(Failure::InDoubt) => *prize = EmailOwner::Unknown,
        Err(Failure::Unavailable | Failure::Rejected) => {}
    }
}

fn release(owner: &mut Worker, number: usize, person: TestUser) {
    let world: &SharedState = owner.shared;
    let set = |from: EmailOwner, to: EmailOwner| {
        let mut prize = world.contested_emails[number].lock();
        if *prize == from {
            *prize = to;
            return true;
        }
        false
    };
    let api = choose(&[Dialect::Ccs, Dialect::OnfireV1, Dialect::OnfireV2, Dialect::Scim], owner.random());
    let (_, client) = world.client(owner.random(), None);
    let seen = match client.read(api, &person.email) {
        Ok(seen) => seen,
        Err(Failure::Rejected) => panic!("{person:?} is missing"),
        Err(Failure::Unavailable | Failure::InDoubt) => {
            owner.held_emails.insert(number, person);
            return;
        }
    };
    assert_eq!(seen.first, person.first_name, "the user is this worker's");
    set(EmailOwner::Held(owner.name), EmailOwner::Releasing(owner.name));
    match client.delete(api, &seen) {
        Ok(()) => {
            // Another worker may own it by now.
            set(EmailOwner::Releasing(owner.name), EmailOwner::Nobody);
            owner.expect_event(&person.email, "deleted");
        }
        Err(Failure::Unavailable) => {
            let mine = set(EmailOwner::Releasing(owner.name), EmailOwner::Held(owner.name));
            assert!(mine || set(EmailOwner::Unknown, EmailOwner::Unknown), "{person:?} was lost without a release");
            owner.held_emails.insert(number, person);
        }
        Err(Failure::InDoubt) => *world.contested_emails[number].lock() = EmailOwner::Unknown,
        Err(Failure::Rejected) => panic!("{person:?} is missing"),
    }
}
