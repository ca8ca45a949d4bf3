//! A client that is the only one to change its users, so it always knows their expected state.

use super::dialect::{ClientResult, Dialect, Failure, UserView, is_conflict, is_not_found};
use super::model::{InDoubt, State, TrackedUser};
use super::shared_state::{Endpoint, SharedState};
use std::time::{Duration, Instant};
use testkit::generators::Rng;

/// From this number of users on, a client deletes more than it creates.
const TARGET_USERS: usize = 250;

/// With more users in doubt than this, a client only reads.
const MAX_IN_DOUBT: usize = 40;

pub(super) struct Client<'a> {
    shared: &'a SharedState,
    name: usize,
    rng: Rng,
    next: u64,
}

impl<'a> Client<'a> {
    pub(super) fn new(world: &'a SharedState, name: usize, seed: u64) -> Self {
        Self { shared: world, name, rng: Rng::new(seed.wrapping_add(name as u64 + 1)), next: 0 }
    }

    /// Runs operations until the test is over. Waits while another thread holds its users.
    pub(super) fn run(mut self) {
        while !self.shared.is_over() {
            {
                let mut users = self.shared.models[self.name].lock();
                self.step(&mut users);
            }
            std::thread::sleep(Duration::from_millis(5 + self.rng.below(20)));
        }
    }

    fn step(&mut self, users: &mut Vec<TrackedUser>) {
        let Some(endpoint) = self.shared.endpoint(self.rng.below(1 << 32), self.name) else { return };
        let is_of = |test: fn(&TrackedUser) -> bool| -> Vec<usize> {
            users.iter().enumerate().filter(|(_, known)| test(known)).map(|(place, _)| place).collect()
        };
        let certain = is_of(TrackedUser::is_certain);
        let doubted = is_of(|known| known.in_doubt.is_some() && !known.violation_reported);
        let absent =
            is_of(|known| known.acknowledged.is_none() && known.in_doubt.is_none() && !known.violation_reported);
        if doubted.len() >= MAX_IN_DOUBT {
            let place = *self.rng.choose(&doubted);
            let dialect = *self.rng.choose(&Dialect::SHOWS_ALL_FIELDS);
            self.check(&endpoint, dialect, &mut users[place]);
            return;
        }
        let kind = self.rng.below(100);
        if certain.len() < 5 || kind < if certain.len() < TARGET_USERS { 30 } else { 8 } {
            return self.create(&endpoint, users);
        }
        let place = *self.rng.choose(&certain);
        match kind {
            0..50 => self.rename(&endpoint, &mut users[place]),
            50..57 => self.change_email(&endpoint, &mut users[place]),
            57..66 => self.change_status(&endpoint, &mut users[place]),
            66..76 => self.change_membership(&endpoint, &mut users[place]),
            76..84 => self.delete(&endpoint, &mut users[place]),
            84..88 => self.create_conflicting(&endpoint, &users[place]),
            88..91 if !absent.is_empty() => {
                let place = *self.rng.choose(&absent);
                self.delete_missing(&endpoint, &mut users[place]);
            }
            91..96 if !doubted.is_empty() => {
                let place = *self.rng.choose(&doubted);
                let dialect = *self.rng.choose(&Dialect::SHOWS_ALL_FIELDS);
                self.check(&endpoint, dialect, &mut users[place]);
            }
            _ => {
                let dialect = *self.rng.choose(&Dialect::ALL);
                self.check(&endpoint, dialect, &mut users[place]);
            }
        }
    }

    fn unique_name(&mut self, letter: char) -> String {
        self.next += 1;
        format!("{letter}{}.{}", self.name, self.next)
    }

    fn create(&mut self, endpoint: &Endpoint<'_>, users: &mut Vec<TrackedUser>) {
        let dialect = *self.rng.choose(&Dialect::ALL);
        let first = self.unique_name('F');
        let email = format!("{}@chaos.example", self.unique_name('c')).to_lowercase();
        let external = (dialect != Dialect::Ccs).then(|| self.unique_name('e'));
        let state = State { email, first, is_active: true, is_member: false };
        let mut known = TrackedUser::new(dialect, external);
        let answer = endpoint.create(dialect, &state, known.external.as_deref());
        self.record_outcome(dialect, &mut known, Some(state), answer);
        users.push(known);
    }

    fn rename(&mut self, endpoint: &Endpoint<'_>, known: &mut TrackedUser) {
        let dialect = *self.rng.choose(&Dialect::ALL);
        let first = self.unique_name('F');
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.acknowledged.clone().map(|state| State { first, ..state }) else { return };
        let answer = endpoint.update_user(&seen, &state, known.external.as_deref());
        self.record_outcome(dialect, known, Some(state), answer);
    }

    fn change_email(&mut self, endpoint: &Endpoint<'_>, known: &mut TrackedUser) {
        // The user name of users created over `scim` is their first email; only `scim` can change both at once.
        let dialect = if known.created_over == Dialect::Scim {
            Dialect::Scim
        } else {
            *self.rng.choose(&[Dialect::Ccs, Dialect::Publisher, Dialect::Onfire])
        };
        let email = format!("{}@chaos.example", self.unique_name('c')).to_lowercase();
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.acknowledged.clone().map(|state| State { email, ..state }) else { return };
        let answer = endpoint.update_user(&seen, &state, known.external.as_deref());
        self.record_outcome(dialect, known, Some(state), answer);
    }

    fn change_status(&mut self, endpoint: &Endpoint<'_>, known: &mut TrackedUser) {
        let dialect = *self.rng.choose(&Dialect::WITH_STATUS);
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.acknowledged.clone() else { return };
        let state = State { is_active: !state.is_active, ..state };
        let answer = endpoint.set_active(&seen, state.is_active);
        self.record_outcome(dialect, known, Some(state), answer);
    }

    fn change_membership(&mut self, endpoint: &Endpoint<'_>, known: &mut TrackedUser) {
        let dialect = *self.rng.choose(&Dialect::SHOWS_ALL_FIELDS);
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.acknowledged.clone() else { return };
        let state = State { is_member: !state.is_member, ..state };
        let answer = endpoint.set_member(&seen, self.shared.group_of(self.name), state.is_member);
        self.record_outcome(dialect, known, Some(state), answer);
    }

    fn delete(&mut self, endpoint: &Endpoint<'_>, known: &mut TrackedUser) {
        let dialect = *self.rng.choose(&Dialect::WITH_DELETE);
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let answer = endpoint.delete(dialect, &seen.key);
        known.deleted = Some((dialect, seen.key));
        self.record_outcome(dialect, known, None, answer);
    }

    /// A create with an email or external id in use, which must be rejected.
    fn create_conflicting(&mut self, endpoint: &Endpoint<'_>, known: &TrackedUser) {
        let Some(state) = &known.acknowledged else { return };
        let mut second = State { first: self.unique_name('T'), ..state.clone() };
        let dialect = *self.rng.choose(&Dialect::ALL);
        let mut external = None;
        if self.rng.below(2) == 0 && dialect != Dialect::Ccs && known.external.is_some() {
            external.clone_from(&known.external);
            second.email = format!("{}@chaos.example", self.unique_name('t')).to_lowercase();
        }
        match endpoint.create(dialect, &second, external.as_deref()) {
            Err(Failure::Rejected(status, body)) if is_conflict(dialect, status, &body) => {
                self.shared.count("rejected");
            }
            Err(Failure::InDoubt) => self.shared.count("in doubt"),
            other => self.shared.violation(&format!(
                "a create over {dialect:?} that conflicts with {known:?} should be rejected: {other:?}"
            )),
        }
    }

    /// A user that was deleted or never created does not exist and cannot be deleted.
    fn delete_missing(&mut self, endpoint: &Endpoint<'_>, known: &mut TrackedUser) {
        let Some((dialect, key)) = known.deleted.clone() else {
            let dialect = *self.rng.choose(&Dialect::ALL);
            self.check(endpoint, dialect, known);
            return;
        };
        match endpoint.delete(dialect, &key) {
            Err(Failure::Rejected(status, body)) if is_not_found(dialect, status, &body) => {
                self.shared.count("rejected");
            }
            Err(Failure::InDoubt) => self.shared.count("in doubt"),
            other => self.shared.violation(&format!(
                "a deletion over {dialect:?} of the deleted {known:?} should be rejected: {other:?}"
            )),
        }
    }

    /// Records the outcome of a change, and reads acknowledged ones over another dialect.
    fn record_outcome(
        &mut self,
        dialect: Dialect,
        known: &mut TrackedUser,
        then: Option<State>,
        answer: ClientResult<()>,
    ) {
        (known.last_writer, known.changed_since_check) = (dialect, true);
        if let Some(state) = &then
            && !known.emails.contains(&state.email)
        {
            known.emails.push(state.email.clone());
        }
        match answer {
            Ok(()) => {
                self.shared.count("acknowledged");
                known.acknowledged = then;
                let others: Vec<Dialect> = Dialect::ALL.into_iter().filter(|other| *other != dialect).collect();
                let reader = *self.rng.choose(&others);
                let number = self.rng.below(1 << 32);
                if let Some(endpoint) = self.shared.endpoint(number, self.name) {
                    self.check(&endpoint, reader, known);
                }
            }
            Err(Failure::InDoubt) => {
                self.shared.count("in doubt");
                // As clients do that receive Retry-After.
                std::thread::sleep(Duration::from_millis(100 + self.rng.below(200)));
                known.in_doubt = Some(InDoubt { state_after: then, ended: Instant::now() });
            }
            // Another client changed the same group concurrently. Nothing was changed.
            Err(Failure::Rejected(409, body)) if !is_conflict(dialect, 409, &body) => {
                self.shared.count("rejected as changed at the same time");
            }
            Err(Failure::Rejected(status, body)) => {
                self.shared
                    .violation(&format!("{dialect:?} rejects the change of {known:?} to {then:?}: {status} {body}"));
                known.violation_reported = true;
            }
        }
    }

    /// Reads a user and compares. Returns the user if there was a response and nothing about the user is in doubt.
    fn check(&mut self, endpoint: &Endpoint<'_>, dialect: Dialect, known: &mut TrackedUser) -> Option<UserView> {
        let is_settled = known.in_doubt.as_ref().is_some_and(|doubt| self.shared.has_settled(doubt.ended));
        let seen = read(endpoint, dialect, known).ok()?;
        self.shared.count("reads compared");
        // Reads from a replaced file are checked elsewhere.
        if !known.observe(seen.as_ref(), is_settled && Dialect::SHOWS_ALL_FIELDS.contains(&dialect))
            && self.shared.is_intact(endpoint.server)
        {
            known.violation_reported = true;
            self.shared.violation(&format!("{dialect:?} of server {} shows {seen:?} for {known:?}", endpoint.server));
        }
        seen.filter(|_| known.is_certain())
    }
}

/// Reads a user over a dialect, under any of its emails. Reports rejections; the status is 0 for inconsistent
/// responses.
pub(super) fn read(endpoint: &Endpoint<'_>, dialect: Dialect, known: &TrackedUser) -> ClientResult<Option<UserView>> {
    let emails = known.possible_emails();
    let may_be_absent =
        known.acknowledged.is_none() || known.in_doubt.as_ref().is_some_and(|doubt| doubt.state_after.is_none());
    // Retry: the email may change between two reads.
    for _ in 0..3 {
        let mut found: Vec<UserView> = Vec::new();
        for email in &emails {
            let answer = endpoint.read(dialect, email);
            if let Err(Failure::Rejected(status, body)) = &answer {
                endpoint.shared.violation(&format!("{dialect:?} rejects a read of {email}: {status} {body}"));
            }
            found.extend(answer?);
        }
        if found.len() == 1 || (found.is_empty() && (may_be_absent || emails.len() == 1)) {
            return Ok(found.pop());
        }
    }
    let text = format!("{dialect:?} shows none or several of {emails:?}: {known:?}");
    endpoint.shared.violation(&text);
    Err(Failure::Rejected(0, text))
}
