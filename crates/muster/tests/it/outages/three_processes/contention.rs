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
    format!("email_owner{number}@three.example")
}

/// Claims an email, or releases it.
pub(super) fn contend(worker: &mut Worker) {
    let number = usize::try_from(worker.random()).expect("a number") % worker.shared.contested_emails.len();
    if *worker.shared.contested_emails[number].lock() == EmailOwner::Unknown {
        return;
    }
    match worker.held_emails.remove(&number) {
        Some(person) => release(worker, number, person),
        None => claim(worker, number),
    }
}

fn claim(worker: &mut Worker, number: usize) {
    let world: &SharedState = worker.shared;
    let person = worker.unique_user(contested_email(number));
    let api = choose(&Dialect::ALL, worker.random());
    let (_, client) = world.client(worker.random(), None);
    let answer = client.create(api, &person);
    let mut email_owner = world.contested_emails[number].lock();
    match answer {
        Ok(()) => {
            assert!(!matches!(*email_owner, EmailOwner::Held(_)), "{person:?} has a second owner: {email_owner:?}");
            if *email_owner != EmailOwner::Unknown {
                *email_owner = EmailOwner::Held(worker.name);
            }
            worker.expect_event(&person.email, "created");
            worker.held_emails.insert(number, person);
        }
        Err(Failure::InDoubt) => *email_owner = EmailOwner::Unknown,
        Err(Failure::Unavailable | Failure::Rejected) => {}
    }
}

fn release(worker: &mut Worker, number: usize, person: TestUser) {
    let world: &SharedState = worker.shared;
    let replace_if = |from: EmailOwner, to: EmailOwner| {
        let mut email_owner = world.contested_emails[number].lock();
        if *email_owner == from {
            *email_owner = to;
            return true;
        }
        false
    };
    let api = choose(&[Dialect::Ccs, Dialect::OnfireV1, Dialect::OnfireV2, Dialect::Scim], worker.random());
    let (_, client) = world.client(worker.random(), None);
    let seen = match client.read(api, &person.email) {
        Ok(seen) => seen,
        Err(Failure::Rejected) => panic!("{person:?} is missing"),
        Err(Failure::Unavailable | Failure::InDoubt) => {
            worker.held_emails.insert(number, person);
            return;
        }
    };
    assert_eq!(seen.first, person.first_name, "the user is this worker's");
    replace_if(EmailOwner::Held(worker.name), EmailOwner::Releasing(worker.name));
    match client.delete(api, &seen) {
        Ok(()) => {
            // Another worker may own it by now.
            replace_if(EmailOwner::Releasing(worker.name), EmailOwner::Nobody);
            worker.expect_event(&person.email, "deleted");
        }
        Err(Failure::Unavailable) => {
            let mine = replace_if(EmailOwner::Releasing(worker.name), EmailOwner::Held(worker.name));
            let is_unknown = || *world.contested_emails[number].lock() == EmailOwner::Unknown;
            assert!(mine || is_unknown(), "{person:?} was lost without a release");
            worker.held_emails.insert(number, person);
        }
        Err(Failure::InDoubt) => *world.contested_emails[number].lock() = EmailOwner::Unknown,
        Err(Failure::Rejected) => panic!("{person:?} is missing"),
    }
}
