//! A client with users of its own, whom nobody else changes. It knows at any time what every server must show of them.

use super::dialect::{Answer, Dialect, Failure, Seen, is_absent, is_taken};
use super::model::{InDoubt, Known, State};
use super::world::{Endpoint, World};
use std::time::{Duration, Instant};
use testkit::chance::Dice;

/// How many users a client has before it deletes more than it creates.
const USERS: usize = 250;

/// How many users of a client may be in doubt before it only reads.
const DOUBTS: usize = 40;

pub(super) struct Client<'a> {
    world: &'a World,
    name: usize,
    dice: Dice,
    next: u64,
}

impl<'a> Client<'a> {
    pub(super) fn new(world: &'a World, name: usize, seed: u64) -> Self {
        Self { world, name, dice: Dice::new(seed.wrapping_add(name as u64 + 1)), next: 0 }
    }

    /// Does one thing after the other until it is over. While somebody else holds its users, it waits.
    pub(super) fn work(mut self) {
        while !self.world.is_over() {
            {
                let mut users = self.world.models[self.name].lock();
                self.step(&mut users);
            }
            std::thread::sleep(Duration::from_millis(5 + self.dice.roll(20)));
        }
    }

    fn step(&mut self, users: &mut Vec<Known>) {
        let Some(endpoint) = self.world.endpoint(self.dice.roll(1 << 32), self.name) else { return };
        let is_of = |test: fn(&Known) -> bool| -> Vec<usize> {
            users.iter().enumerate().filter(|(_, known)| test(known)).map(|(place, _)| place).collect()
        };
        let certain = is_of(Known::is_certain);
        let doubted = is_of(|known| known.in_doubt.is_some() && !known.is_wrong);
        let absent = is_of(|known| known.now.is_none() && known.in_doubt.is_none() && !known.is_wrong);
        if doubted.len() >= DOUBTS {
            let place = *self.dice.pick(&doubted);
            let dialect = *self.dice.pick(&Dialect::COMPLETE);
            self.check(&endpoint, dialect, &mut users[place]);
            return;
        }
        let kind = self.dice.roll(100);
        if certain.len() < 5 || kind < if certain.len() < USERS { 30 } else { 8 } {
            return self.create(&endpoint, users);
        }
        let place = *self.dice.pick(&certain);
        match kind {
            0..50 => self.rename(&endpoint, &mut users[place]),
            50..57 => self.change_email(&endpoint, &mut users[place]),
            57..66 => self.change_status(&endpoint, &mut users[place]),
            66..76 => self.change_membership(&endpoint, &mut users[place]),
            76..84 => self.delete(&endpoint, &mut users[place]),
            84..88 => self.create_taken(&endpoint, &users[place]),
            88..91 if !absent.is_empty() => {
                let place = *self.dice.pick(&absent);
                self.use_absent(&endpoint, &mut users[place]);
            }
            91..96 if !doubted.is_empty() => {
                let place = *self.dice.pick(&doubted);
                let dialect = *self.dice.pick(&Dialect::COMPLETE);
                self.check(&endpoint, dialect, &mut users[place]);
            }
            _ => {
                let dialect = *self.dice.pick(&Dialect::ALL);
                self.check(&endpoint, dialect, &mut users[place]);
            }
        }
    }

    fn name(&mut self, letter: char) -> String {
        self.next += 1;
        format!("{letter}{}.{}", self.name, self.next)
    }

    fn create(&mut self, endpoint: &Endpoint<'_>, users: &mut Vec<Known>) {
        let dialect = *self.dice.pick(&Dialect::ALL);
        let first = self.name('F');
        let email = format!("{}@chaos.example", self.name('c')).to_lowercase();
        let external = (dialect != Dialect::Ccs).then(|| self.name('e'));
        let state = State { email, first, is_active: true, is_member: false };
        let mut known = Known::new(dialect, external);
        let answer = endpoint.create(dialect, &state, known.external.as_deref());
        self.conclude(dialect, &mut known, Some(state), answer);
        users.push(known);
    }

    fn rename(&mut self, endpoint: &Endpoint<'_>, known: &mut Known) {
        let dialect = *self.dice.pick(&Dialect::ALL);
        let first = self.name('F');
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.now.clone().map(|state| State { first, ..state }) else { return };
        let answer = endpoint.change(&seen, &state, known.external.as_deref());
        self.conclude(dialect, known, Some(state), answer);
    }

    fn change_email(&mut self, endpoint: &Endpoint<'_>, known: &mut Known) {
        // The user name is the first e-mail of users who were created over `scim`; only there both can be changed at once.
        let dialect = if known.maker == Dialect::Scim {
            Dialect::Scim
        } else {
            *self.dice.pick(&[Dialect::Ccs, Dialect::Publisher, Dialect::Onfire])
        };
        let email = format!("{}@chaos.example", self.name('c')).to_lowercase();
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.now.clone().map(|state| State { email, ..state }) else { return };
        let answer = endpoint.change(&seen, &state, known.external.as_deref());
        self.conclude(dialect, known, Some(state), answer);
    }

    fn change_status(&mut self, endpoint: &Endpoint<'_>, known: &mut Known) {
        let dialect = *self.dice.pick(&Dialect::WITH_STATUS);
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.now.clone() else { return };
        let state = State { is_active: !state.is_active, ..state };
        let answer = endpoint.set_active(&seen, state.is_active);
        self.conclude(dialect, known, Some(state), answer);
    }

    fn change_membership(&mut self, endpoint: &Endpoint<'_>, known: &mut Known) {
        let dialect = *self.dice.pick(&Dialect::COMPLETE);
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let Some(state) = known.now.clone() else { return };
        let state = State { is_member: !state.is_member, ..state };
        let answer = endpoint.set_member(&seen, self.world.group_of(self.name), state.is_member);
        self.conclude(dialect, known, Some(state), answer);
    }

    fn delete(&mut self, endpoint: &Endpoint<'_>, known: &mut Known) {
        let dialect = *self.dice.pick(&Dialect::WITH_DELETE);
        let Some(seen) = self.check(endpoint, dialect, known) else { return };
        let answer = endpoint.delete(dialect, &seen.key);
        known.deleted = Some((dialect, seen.key));
        self.conclude(dialect, known, None, answer);
    }

    /// A create with an e-mail or an external id that is in use: it must be rejected.
    fn create_taken(&mut self, endpoint: &Endpoint<'_>, known: &Known) {
        let Some(state) = &known.now else { return };
        let mut second = State { first: self.name('T'), ..state.clone() };
        let dialect = *self.dice.pick(&Dialect::ALL);
        let mut external = None;
        if self.dice.roll(2) == 0 && dialect != Dialect::Ccs && known.external.is_some() {
            external.clone_from(&known.external);
            second.email = format!("{}@chaos.example", self.name('t')).to_lowercase();
        }
        match endpoint.create(dialect, &second, external.as_deref()) {
            Err(Failure::Rejected(status, body)) if is_taken(dialect, status, &body) => {
                self.world.count("rejected");
            }
            Err(Failure::InDoubt) => self.world.count("in doubt"),
            other => self.world.violation(&format!(
                "a create over {dialect:?} with what {known:?} has already should be rejected: {other:?}"
            )),
        }
    }

    /// A user who was deleted, or whose create did not happen: not there, and cannot be deleted again.
    fn use_absent(&mut self, endpoint: &Endpoint<'_>, known: &mut Known) {
        let Some((dialect, key)) = known.deleted.clone() else {
            let dialect = *self.dice.pick(&Dialect::ALL);
            self.check(endpoint, dialect, known);
            return;
        };
        match endpoint.delete(dialect, &key) {
            Err(Failure::Rejected(status, body)) if is_absent(dialect, status, &body) => {
                self.world.count("rejected");
            }
            Err(Failure::InDoubt) => self.world.count("in doubt"),
            other => self.world.violation(&format!(
                "a deletion over {dialect:?} of {known:?}, who is deleted, should be rejected: {other:?}"
            )),
        }
    }

    /// Notes what came of a change, and reads over another dialect what was acknowledged.
    fn conclude(&mut self, dialect: Dialect, known: &mut Known, then: Option<State>, answer: Answer<()>) {
        (known.writer, known.is_fresh) = (dialect, true);
        if let Some(state) = &then
            && !known.emails.contains(&state.email)
        {
            known.emails.push(state.email.clone());
        }
        match answer {
            Ok(()) => {
                self.world.count("acknowledged");
                known.now = then;
                let others: Vec<Dialect> =
                    Dialect::ALL.into_iter().filter(|other| *other != dialect).collect();
                let reader = *self.dice.pick(&others);
                let number = self.dice.roll(1 << 32);
                if let Some(endpoint) = self.world.endpoint(number, self.name) {
                    self.check(&endpoint, reader, known);
                }
            }
            Err(Failure::InDoubt) => {
                self.world.count("in doubt");
                // As a client does that is asked to try again later.
                std::thread::sleep(Duration::from_millis(100 + self.dice.roll(200)));
                known.in_doubt = Some(InDoubt { then, ended: Instant::now() });
            }
            // Another client changed the same group at the same time. Nothing was done.
            Err(Failure::Rejected(409, body)) if !is_taken(dialect, 409, &body) => {
                self.world.count("rejected as changed at the same time");
            }
            Err(Failure::Rejected(status, body)) => {
                self.world
                    .violation(&format!("{dialect:?} rejects to make {known:?} {then:?}: {status} {body}"));
                known.is_wrong = true;
            }
        }
    }

    /// Reads a user and compares; the user as read, if there was an answer and nothing about the user is in doubt.
    fn check(&mut self, endpoint: &Endpoint<'_>, dialect: Dialect, known: &mut Known) -> Option<Seen> {
        let is_settled = known.in_doubt.as_ref().is_some_and(|doubt| self.world.is_settled(doubt.ended));
        let seen = read(endpoint, dialect, known).ok()?;
        self.world.count("reads compared");
        // A file that was replaced in the meantime is another test's matter.
        if !known.learn(seen.as_ref(), is_settled && Dialect::COMPLETE.contains(&dialect))
            && self.world.is_intact(endpoint.server)
        {
            known.is_wrong = true;
            self.world
                .violation(&format!("{dialect:?} of server {} shows {seen:?} of {known:?}", endpoint.server));
        }
        seen.filter(|_| known.is_certain())
    }
}

/// A user as a dialect shows one, under whichever e-mail. Anything but an answer or none is reported;
/// the status is 0 for answers that do not fit one another.
pub(super) fn read(endpoint: &Endpoint<'_>, dialect: Dialect, known: &Known) -> Answer<Option<Seen>> {
    let emails = known.possible_emails();
    let may_be_absent =
        known.now.is_none() || known.in_doubt.as_ref().is_some_and(|doubt| doubt.then.is_none());
    // The e-mail may change between two reads, which takes another try.
    for _ in 0..3 {
        let mut found: Vec<Seen> = Vec::new();
        for email in &emails {
            let answer = endpoint.read(dialect, email);
            if let Err(Failure::Rejected(status, body)) = &answer {
                endpoint.world.violation(&format!("{dialect:?} rejects to show {email}: {status} {body}"));
            }
            found.extend(answer?);
        }
        if found.len() == 1 || (found.is_empty() && (may_be_absent || emails.len() == 1)) {
            return Ok(found.pop());
        }
    }
    let text = format!("{dialect:?} shows none or several of {emails:?}: {known:?}");
    endpoint.world.violation(&text);
    Err(Failure::Rejected(0, text))
}
