//! A thread with people of its own, who knows at any time what every process must say of them.

use super::fight::fight;
use super::{SEED, Tally, World};
use crate::outages::client::change::Group;
use crate::outages::client::{Answer, Client, Not, Person, Seen, Tongue};
use crate::outages::fleet::Door;
use crate::outages::{pick, roll};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::waiting::PATIENCE;

/// How long after the end of a process whatever it had under way is done or undone.
const SETTLED: Duration = Duration::from_secs(2);

pub(super) struct Owner<'a> {
    pub(super) world: &'a World,
    pub(super) name: u64,
    pub(super) people: Vec<Known>,
    /// E-mails it has won, by their number.
    pub(super) held: BTreeMap<usize, Person>,
    /// What was acknowledged.
    pub(super) tally: Tally,
    /// How often each thing came to pass.
    pub(super) done: BTreeMap<&'static str, u64>,
    group: Group,
    next: u64,
}

/// A person as acknowledged.
pub(super) struct Known {
    pub(super) person: Person,
    maker: Tongue,
    is_member: bool,
}

impl<'a> Owner<'a> {
    pub(super) fn new(world: &'a World, name: u64) -> Self {
        let group = world.client(name, None).1.group(&format!("Group-{name}-of-three"));
        let (people, held, tally, done) = Default::default();
        Self { world, name, people, held, tally, done, group, next: 0 }
    }

    /// Does one thing after the other until it is over.
    pub(super) fn work(mut self) -> Self {
        while !self.world.is_over.load(Ordering::SeqCst) {
            let kind = match self.roll() % 100 {
                _ if self.people.is_empty() => "create",
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
                "read" => self.look(),
                "change" => self.change(),
                "delete" => self.delete(),
                "join or leave" => self.join_or_leave(),
                "token" => self.token(),
                _ => fight(&mut self),
            }
            *self.done.entry(kind).or_default() += 1;
            self.world.done.fetch_add(1, Ordering::SeqCst);
        }
        self
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.next += 1;
        roll(SEED + self.name, self.next) >> 8
    }

    /// A person with an external id and a name that nobody else has.
    pub(super) fn person(&mut self, email: String) -> Person {
        self.next += 1;
        let (name, next) = (self.name, self.next);
        Person { email, external: format!("e{name}.{next}"), first: format!("F{name}.{next}") }
    }

    /// Notes what the feed must tell of a person.
    pub(super) fn note(&mut self, email: &str, action: &'static str) {
        *self.tally.entry((email.to_owned(), action)).or_default() += 1;
    }

    fn anybody(&mut self) -> usize {
        usize::try_from(self.roll()).expect("a number") % self.people.len()
    }

    fn client(&mut self) -> (usize, Client) {
        let number = self.roll();
        self.world.client(number, None)
    }

    /// Reads over another process and another dialect than a write has just used.
    fn read_elsewhere(&mut self, node: usize, tongue: Tongue, email: &str) -> Option<Seen> {
        let tongues: Vec<Tongue> = Tongue::ALL.into_iter().filter(|other| *other != tongue).collect();
        let tongue = pick(&tongues, self.roll());
        self.persist(Some(node), |client| client.read(tongue, email))
    }

    /// Asks until there is a clear answer; `None` for a no.
    fn persist<T>(&mut self, except: Option<usize>, ask: impl Fn(&Client) -> Answer<T>) -> Option<T> {
        let begun = Instant::now();
        loop {
            let number = self.roll();
            match ask(&self.world.client(number, except).1) {
                Ok(value) => return Some(value),
                Err(Not::Possible) => return None,
                Err(not) => {
                    *self.done.entry("put off").or_default() += 1;
                    assert!(begun.elapsed() < PATIENCE, "no answer: {not:?}");
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether a write was done. Where nobody knows, its process must have been killed, and `is_done` finds out.
    fn outcome(
        &mut self,
        (node, client): &(usize, Client),
        answer: Answer<()>,
        is_done: impl Fn(&mut Self) -> bool,
    ) -> bool {
        match answer {
            Ok(()) => true,
            Err(Not::Now) => {
                *self.done.entry("busy").or_default() += 1;
                false
            }
            Err(Not::Possible) => panic!("{} is refused what is its own", self.name),
            Err(Not::Known) => {
                *self.done.entry("unanswered").or_default() += 1;
                let address = self.world.address(*node);
                assert_ne!(address.as_ref(), Some(&client.address), "a process that lives answers");
                std::thread::sleep(SETTLED);
                is_done(self)
            }
        }
    }

    fn create(&mut self) {
        let email = format!("p{}.{}@three.example", self.name, self.next);
        let person = self.person(email.clone());
        let maker = pick(&Tongue::ALL, self.roll());
        let via = self.client();
        let answer = via.1.create(maker, &person);
        let find = |owner: &mut Self| owner.read_elsewhere(via.0, maker, &email).is_some();
        let is_done = self.outcome(&via, answer, find);
        if is_done {
            self.note(&email, "created");
            self.people.push(Known { person: person.clone(), maker, is_member: false });
        }
        self.check(via.0, maker, &email, is_done.then_some(&person));
    }

    /// What another process says over another dialect is what is known.
    fn check(&mut self, node: usize, tongue: Tongue, email: &str, wanted: Option<&Person>) {
        let seen = self.read_elsewhere(node, tongue, email);
        let is_right = match (&seen, wanted) {
            (None, None) => true,
            (Some(seen), Some(person)) => seen.first == person.first && seen.email == person.email,
            _ => false,
        };
        assert!(is_right, "written over {tongue:?}, {email} should be {wanted:?} and is {seen:?}");
    }

    fn look(&mut self) {
        let (place, tongue) = (self.anybody(), pick(&Tongue::ALL, self.roll()));
        let person = self.people[place].person.clone();
        let seen = self.persist(None, |client| client.read(tongue, &person.email));
        assert_eq!(seen.map(|seen| seen.first), Some(person.first), "{tongue:?} of {}", person.email);
    }

    fn change(&mut self) {
        let (place, tongue) = (self.anybody(), pick(&Tongue::ALL, self.roll()));
        let person = self.people[place].person.clone();
        let first = self.person(String::new()).first;
        let via = self.client();
        let answer = via.1.rename(tongue, &person, &first);
        let is_done = self.outcome(&via, answer, |owner| {
            let seen = owner.read_elsewhere(via.0, tongue, &person.email).expect("it was not deleted");
            assert!(seen.first == first || seen.first == person.first, "one or the other: {seen:?}");
            seen.first == first
        });
        if is_done {
            self.people[place].person.first = first;
            self.note(&person.email, "updated");
        }
        let person = self.people[place].person.clone();
        self.check(via.0, tongue, &person.email, Some(&person));
    }

    fn delete(&mut self) {
        let (place, number) = (self.anybody(), self.roll());
        let tongue = pick(&[Tongue::Ccs, Tongue::OnfireV1, Tongue::OnfireV2, Tongue::Scim], number);
        let person = self.people[place].person.clone();
        let via = self.client();
        let answer = via.1.read(tongue, &person.email).and_then(|seen| via.1.delete(tongue, &seen));
        let gone = |owner: &mut Self| owner.read_elsewhere(via.0, tongue, &person.email).is_none();
        let is_done = self.outcome(&via, answer, gone);
        if is_done {
            self.people.swap_remove(place);
            self.note(&person.email, "deleted");
        }
        self.check(via.0, tongue, &person.email, (!is_done).then_some(&person));
    }

    fn join_or_leave(&mut self) {
        let (place, number) = (self.anybody(), self.roll());
        let Known { person, maker, is_member } = &self.people[place];
        let (email, joins, group) = (person.email.clone(), !is_member, self.group.clone());
        // Over `publisher` only who is active may join, which invited people are not.
        let is_active = joins && matches!(maker, Tongue::Publisher | Tongue::Scim);
        let tongue = if is_active { pick(&[Tongue::Publisher, Tongue::Scim], number) } else { Tongue::Scim };
        let via = self.client();
        let answer = if joins { via.1.join(tongue, &group, &email) } else { via.1.leave(&group, &email) };
        let reader = pick(&[Tongue::Publisher, Tongue::OnfireV2, Tongue::Scim], number >> 8);
        let is_in = |owner: &mut Self| {
            let is_in = owner.persist(Some(via.0), |client| client.is_in(reader, &group, &email));
            is_in.expect("it was not deleted")
        };
        if self.outcome(&via, answer, |owner| is_in(owner) == joins) {
            self.people[place].is_member = joins;
        }
        assert_eq!(is_in(self), self.people[place].is_member, "{email} in its group, says {reader:?}");
    }

    /// A token got from one process is good at another.
    fn token(&mut self) {
        let Some(token) = self.persist(None, Client::token) else { panic!("the key is good") };
        let (place, number) = (self.anybody(), self.roll());
        let person = self.people[place].person.clone();
        let tongue = pick(&[Tongue::Publisher, Tongue::Ccs, Tongue::Scim], number);
        let seen = self.persist(None, |client| {
            let door = Door { key: token.clone(), ..client.door.clone() };
            Client { door, ..client.clone() }.read(tongue, &person.email)
        });
        assert_eq!(seen.map(|seen| seen.first), Some(person.first), "{tongue:?} with a token");
    }
}
