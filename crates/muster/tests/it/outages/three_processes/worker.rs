//! A thread with its own users, so that it always knows their expected state.

use super::contention::contend;
use super::{EventCounts, SEED, SharedState};
use crate::outages::client::changes::Group;
use crate::outages::client::{Client, ClientResult, Dialect, Failure, TestUser, UserView};
use crate::outages::nodes::Credentials;
use crate::outages::{choose, random_at};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::waiting::TIMEOUT;

/// This long after a process was killed, its transactions are either committed or rolled back.
const SETTLE_TIME: Duration = Duration::from_secs(2);

pub(super) struct Worker<'a> {
    pub(super) shared: &'a SharedState,
    pub(super) name: u64,
    pub(super) users: Vec<TrackedUser>,
    /// The contested emails that it owns, by number.
    pub(super) held_emails: BTreeMap<usize, TestUser>,
    /// The events of acknowledged changes.
    pub(super) expected_events: EventCounts,
    /// The number of operations by kind.
    pub(super) operation_counts: BTreeMap<&'static str, u64>,
    group: Group,
    next: u64,
}

/// A user in its acknowledged state.
pub(super) struct TrackedUser {
    pub(super) user: TestUser,
    created_over: Dialect,
    is_member: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(world: &'a SharedState, name: u64) -> Self {
        let group = world.client(name, None).1.create_group(&format!("Group-{name}-of-three"));
        let (people, held, tally, done) = Default::default();
        Self {
            shared: world,
            name,
            users: people,
            held_emails: held,
            expected_events: tally,
            operation_counts: done,
            group,
            next: 0,
        }
    }

    /// Runs operations until the test is over.
    pub(super) fn run(mut self) -> Self {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            let kind = match self.random() % 100 {
                _ if self.users.is_empty() => "create",
                0..30 => "create",
                30..50 => "read",
                50..67 => "change",
                67..75 => "delete",
                75..86 => "join or leave",
                86..90 => "token",
                _ => "fight",
            };
            match kind {
                "create" => self.create(),
                "read" => self.read(),
                "change" => self.change(),
                "delete" => self.delete(),
                "join or leave" => self.join_or_leave(),
                "token" => self.use_token(),
                _ => contend(&mut self),
            }
            *self.operation_counts.entry(kind).or_default() += 1;
            self.shared.operations.fetch_add(1, Ordering::SeqCst);
        }
        self
    }

    pub(super) fn random(&mut self) -> u64 {
        self.next += 1;
        random_at(SEED + self.name, self.next) >> 8
    }

    /// A user with a unique external id and name.
    pub(super) fn unique_user(&mut self, email: String) -> TestUser {
        self.next += 1;
        let (name, next) = (self.name, self.next);
        TestUser { email, external_id: format!("e{name}.{next}"), first_name: format!("F{name}.{next}") }
    }

    /// Records an event that the feed must contain.
    pub(super) fn expect_event(&mut self, email: &str, action: &'static str) {
        *self.expected_events.entry((email.to_owned(), action)).or_default() += 1;
    }

    fn random_user(&mut self) -> usize {
        usize::try_from(self.random()).expect("a number") % self.users.len()
    }

    fn client(&mut self) -> (usize, Client) {
        let number = self.random();
        self.shared.client(number, None)
    }

    /// Reads over another process and dialect than the last write.
    fn read_elsewhere(&mut self, node: usize, api: Dialect, email: &str) -> Option<UserView> {
        let tongues: Vec<Dialect> = Dialect::ALL.into_iter().filter(|other| *other != api).collect();
        let api = choose(&tongues, self.random());
        self.retry(Some(node), |client| client.read(api, email))
    }

    /// Retries until there is a definite response; `None` if it is a rejection.
    fn retry<T>(&mut self, except: Option<usize>, ask: impl Fn(&Client) -> ClientResult<T>) -> Option<T> {
        let begun = Instant::now();
        loop {
            let number = self.random();
            match ask(&self.shared.client(number, except).1) {
                Ok(value) => return Some(value),
                Err(Failure::Rejected) => return None,
                Err(not) => {
                    *self.operation_counts.entry("put off").or_default() += 1;
                    assert!(begun.elapsed() < TIMEOUT, "no response: {not:?}");
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether a write was committed. If it is in doubt, its process must have been killed, and `is_done` checks.
    fn outcome(
        &mut self,
        (node, client): &(usize, Client),
        answer: ClientResult<()>,
        is_done: impl Fn(&mut Self) -> bool,
    ) -> bool {
        match answer {
            Ok(()) => true,
            Err(Failure::Unavailable) => {
                *self.operation_counts.entry("busy").or_default() += 1;
                false
            }
            Err(Failure::Rejected) => panic!("a change of worker {}'s own user was rejected", self.name),
            Err(Failure::InDoubt) => {
                *self.operation_counts.entry("unanswered").or_default() += 1;
                let address = self.shared.address(*node);
                assert_ne!(address.as_ref(), Some(&client.address), "a running process answers");
                std::thread::sleep(SETTLE_TIME);
                is_done(self)
            }
        }
    }

    fn create(&mut self) {
        let email = format!("p{}.{}@three.example", self.name, self.next);
        let person = self.unique_user(email.clone());
        let maker = choose(&Dialect::ALL, self.random());
        let via = self.client();
        let answer = via.1.create(maker, &person);
        let find = |owner: &mut Self| owner.read_elsewhere(via.0, maker, &email).is_some();
        let is_done = self.outcome(&via, answer, find);
        if is_done {
            self.expect_event(&email, "created");
            self.users.push(TrackedUser { user: person.clone(), created_over: maker, is_member: false });
        }
        self.check(via.0, maker, &email, is_done.then_some(&person));
    }

    /// Compares the user, read over another process and dialect, with the known state.
    fn check(&mut self, node: usize, api: Dialect, email: &str, wanted: Option<&TestUser>) {
        let seen = self.read_elsewhere(node, api, email);
        let is_right = match (&seen, wanted) {
            (None, None) => true,
            (Some(seen), Some(person)) => seen.first == person.first_name && seen.email == person.email,
            _ => false,
        };
        assert!(is_right, "written over {api:?}, {email} should be {wanted:?} and is {seen:?}");
    }

    fn read(&mut self) {
        let (place, api) = (self.random_user(), choose(&Dialect::ALL, self.random()));
        let person = self.users[place].user.clone();
        let seen = self.retry(None, |client| client.read(api, &person.email));
        assert_eq!(seen.map(|seen| seen.first), Some(person.first_name), "{api:?} of {}", person.email);
    }

    fn change(&mut self) {
        let (place, api) = (self.random_user(), choose(&Dialect::ALL, self.random()));
        let person = self.users[place].user.clone();
        let first = self.unique_user(String::new()).first_name;
        let via = self.client();
        let answer = via.1.rename(api, &person, &first);
        let is_done = self.outcome(&via, answer, |owner| {
            let seen = owner.read_elsewhere(via.0, api, &person.email).expect("an existing user");
            assert!(
                seen.first == first || seen.first == person.first_name,
                "neither the old nor the new name: {seen:?}"
            );
            seen.first == first
        });
        if is_done {
            self.users[place].user.first_name = first;
            self.expect_event(&person.email, "updated");
        }
        let person = self.users[place].user.clone();
        self.check(via.0, api, &person.email, Some(&person));
    }

    fn delete(&mut self) {
        let (place, number) = (self.random_user(), self.random());
        let api = choose(&[Dialect::Ccs, Dialect::OnfireV1, Dialect::OnfireV2, Dialect::Scim], number);
        let person = self.users[place].user.clone();
        let via = self.client();
        let answer = via.1.read(api, &person.email).and_then(|seen| via.1.delete(api, &seen));
        let gone = |owner: &mut Self| owner.read_elsewhere(via.0, api, &person.email).is_none();
        let is_done = self.outcome(&via, answer, gone);
        if is_done {
            self.users.swap_remove(place);
            self.expect_event(&person.email, "deleted");
        }
        self.check(via.0, api, &person.email, (!is_done).then_some(&person));
    }

    fn join_or_leave(&mut self) {
        let (place, number) = (self.random_user(), self.random());
        let TrackedUser { user: person, created_over: maker, is_member } = &self.users[place];
        let (email, joins, group) = (person.email.clone(), !is_member, self.group.clone());
        // Over `publisher` only active users can join, and invited ones are not active.
        let is_active = joins && matches!(maker, Dialect::Publisher | Dialect::Scim);
        let api = if is_active { choose(&[Dialect::Publisher, Dialect::Scim], number) } else { Dialect::Scim };
        let via = self.client();
        let answer =
            if joins { via.1.add_to_group(api, &group, &email) } else { via.1.remove_from_group(&group, &email) };
        let reader = choose(&[Dialect::Publisher, Dialect::OnfireV2, Dialect::Scim], number >> 8);
        let is_in = |owner: &mut Self| {
            let is_in = owner.retry(Some(via.0), |client| client.is_member(reader, &group, &email));
            is_in.expect("an existing user")
        };
        if self.outcome(&via, answer, |owner| is_in(owner) == joins) {
            self.users[place].is_member = joins;
        }
        assert_eq!(is_in(self), self.users[place].is_member, "{email} in its group, according to {reader:?}");
    }

    /// A token from one process works at another.
    fn use_token(&mut self) {
        let Some(token) = self.retry(None, Client::request_token) else { panic!("the token request was rejected") };
        let (place, number) = (self.random_user(), self.random());
        let person = self.users[place].user.clone();
        let api = choose(&[Dialect::Publisher, Dialect::Ccs, Dialect::Scim], number);
        let seen = self.retry(None, |client| {
            let door = Credentials { key: token.clone(), ..client.credentials.clone() };
            Client { credentials: door, ..client.clone() }.read(api, &person.email)
        });
        assert_eq!(seen.map(|seen| seen.first), Some(person.first_name), "{api:?} with a token");
    }
}
