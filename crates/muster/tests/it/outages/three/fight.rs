//! E-mails that every thread wants for a person of its own: at any time at most one has it.

use super::World;
use super::owner::Owner;
use crate::outages::client::{Not, Person, Tongue};
use crate::outages::pick;

/// Who has an e-mail, as far as acknowledgements tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Prize {
    #[default]
    Nobody,
    Held(u64),
    /// The holder has begun to give it up.
    Leaving(u64),
    /// Somebody was not answered; from then on it is left alone.
    Unclear,
}

pub(super) fn email(number: usize) -> String {
    format!("prize{number}@three.example")
}

/// Takes an e-mail, or gives it up.
pub(super) fn fight(owner: &mut Owner) {
    let number = usize::try_from(owner.roll()).expect("a number") % owner.world.prizes.len();
    if *owner.world.prizes[number].lock() == Prize::Unclear {
        return;
    }
    match owner.held.remove(&number) {
        Some(person) => leave(owner, number, person),
        None => take(owner, number),
    }
}

fn take(owner: &mut Owner, number: usize) {
    let world: &World = owner.world;
    let person = owner.person(email(number));
    let tongue = pick(&Tongue::ALL, owner.roll());
    let (_, client) = world.client(owner.roll(), None);
    let answer = client.create(tongue, &person);
    let mut prize = world.prizes[number].lock();
    match answer {
        Ok(()) => {
            assert!(!matches!(*prize, Prize::Held(_)), "{person:?} has a second owner: {prize:?}");
            if *prize != Prize::Unclear {
                *prize = Prize::Held(owner.name);
            }
            owner.note(&person.email, "created");
            owner.held.insert(number, person);
        }
        Err(Not::Known) => *prize = Prize::Unclear,
        Err(Not::Now | Not::Possible) => {}
    }
}

fn leave(owner: &mut Owner, number: usize, person: Person) {
    let world: &World = owner.world;
    let set = |from: Prize, to: Prize| {
        let mut prize = world.prizes[number].lock();
        if *prize == from {
            *prize = to;
            return true;
        }
        false
    };
    let tongue = pick(&[Tongue::Ccs, Tongue::OnfireV1, Tongue::OnfireV2, Tongue::Scim], owner.roll());
    let (_, client) = world.client(owner.roll(), None);
    let seen = match client.read(tongue, &person.email) {
        Ok(seen) => seen,
        Err(Not::Possible) => panic!("{person:?} is gone"),
        Err(Not::Now | Not::Known) => {
            owner.held.insert(number, person);
            return;
        }
    };
    assert_eq!(seen.first, person.first, "it is mine");
    set(Prize::Held(owner.name), Prize::Leaving(owner.name));
    match client.delete(tongue, &seen) {
        Ok(()) => {
            // Somebody else may have it by now.
            set(Prize::Leaving(owner.name), Prize::Nobody);
            owner.note(&person.email, "deleted");
        }
        Err(Not::Now) => {
            let mine = set(Prize::Leaving(owner.name), Prize::Held(owner.name));
            assert!(mine || set(Prize::Unclear, Prize::Unclear), "{person:?} was lost without leaving");
            owner.held.insert(number, person);
        }
        Err(Not::Known) => *world.prizes[number].lock() = Prize::Unclear,
        Err(Not::Possible) => panic!("{person:?} is gone"),
    }
}
