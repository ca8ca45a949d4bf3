//! Made over one dialect, a user is read over every other with all that it can show; changed there, nothing is lost:
//! generated users, all ordered pairs of dialects, those of one maker at the same time.

mod body;
mod person;
mod shown;
mod world;

use crate::support::runtime;
use directory::{Command, Field, Status, User, UserKey};
use person::{Person, person};
use proptest::test_runner::TestRunner;
use std::sync::Arc;
use world::World;

/// A way to reach people, spoken as a client of it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tongue {
    OnfireV2,
    OnfireV1,
    Ccs,
    Publisher,
    Scim,
}

const ALL: [Tongue; 5] = [Tongue::OnfireV2, Tongue::OnfireV1, Tongue::Ccs, Tongue::Publisher, Tongue::Scim];

/// What a dialect sent must be what is kept.
fn check_kept(tongue: Tongue, p: &Person, u: &User) {
    assert_eq!((u.name.given.as_ref(), u.name.family.as_ref()), (Some(&p.first), Some(&p.last)));
    let onfire = matches!(tongue, Tongue::OnfireV1 | Tongue::OnfireV2);
    if onfire {
        assert_eq!(u.groups.len() + u.folders.len(), usize::from(p.in_group) + usize::from(p.in_folder));
        // A mail asks them in.
        assert!(u.status == Status::Invited && u.invited.is_some());
    }
    if tongue == Tongue::OnfireV2 {
        assert_eq!((&u.license, &u.time_zone, &u.color), (&p.licence, &p.zone, &p.color));
        assert_eq!(u.text(Field::Country), p.lines[4].as_deref());
        assert_eq!(u.metadata.len(), p.metadata.len());
    }
    if tongue == Tongue::Scim {
        assert_eq!((&u.profile.nick_name, &u.employment.division), (&p.nick, &p.division));
        assert_eq!((&u.name.middle, &u.name.honorific_prefix), (&p.middle, &p.prefix));
        assert_eq!(u.emails.len(), 1 + usize::from(p.home_email));
        assert_eq!((&u.license, &u.time_zone, &u.color), (&p.licence, &p.zone, &p.color));
        assert_eq!(u.metadata.len(), p.metadata.len());
        assert!(matches!(u.status, Status::Active | Status::Inactive));
    }
    if onfire || matches!(tongue, Tongue::Publisher | Tongue::Scim) {
        assert_eq!(u.external_id, p.external_id);
    }
    if tongue != Tongue::Publisher {
        assert_eq!(u.role, Some(p.role));
    }
    if tongue == Tongue::Ccs {
        assert_eq!(
            (u.text(Field::HonorificPrefix), u.phone("work")),
            (p.prefix.as_deref(), p.phone.as_deref())
        );
        assert_eq!(u.department.is_some(), p.department_number.is_some());
        assert_eq!(u.force_password_change, Some(p.force));
    }
    if matches!(tongue, Tongue::Publisher | Tongue::Scim) {
        assert_eq!(u.phone("mobile"), p.mobile.as_deref());
        assert_eq!((&u.title, &u.department), (&p.job, &p.department));
        assert_eq!(
            (&u.bio, &u.source, &u.specialties, u.preferred_photo()),
            (&p.bio, &p.source, &p.specialities, p.photo.as_deref())
        );
        let lines = (u.text(Field::AddressLine1), u.text(Field::PostalCode));
        assert_eq!(lines, (p.lines[0].as_deref(), p.lines[3].as_deref()));
        assert_eq!(u.links.len(), p.links.len());
        assert_eq!(u.office, (tongue == Tongue::Publisher).then_some(5));
    }
}

/// Generated users, each created over `maker` and changed over every dialect.
fn seen_everywhere_and_changed_anywhere(maker: Tongue) {
    let runtime = runtime();
    let world = Arc::new(runtime.block_on(World::new()));
    let next = std::cell::Cell::new(0_u32);
    let mut runner = TestRunner::new(testkit::seeds::config(20, file!()));
    let outcome = runner.run(&person(), |person| {
        let mut changes = tokio::task::JoinSet::new();
        for changer in ALL {
            let number = next.get() + 1;
            next.set(number);
            let email = format!("Person.{number}@Example.com");
            let mut person = person.clone();
            person.external_id = person.external_id.map(|id| {
                let short: String = id.chars().take(20).collect();
                format!("{short}{number}")
            });
            let world = Arc::clone(&world);
            let pair = async move { Box::pin(loses_nothing(&world, maker, changer, &person, &email)).await };
            changes.spawn_on(pair, runtime.handle());
        }
        runtime.block_on(changes.join_all());
        Ok(())
    });
    outcome.expect("every pair");
}

async fn loses_nothing(world: &World, maker: Tongue, changer: Tongue, person: &Person, email: &str) {
    let made = world.create(maker, person, email).await;
    check_kept(maker, person, &made);
    for reader in ALL {
        world.check_shown(reader, &made).await;
    }
    world.rename(changer, &made, "Renamed").await;
    let changed = world.truth(made.number).await;
    let mut wanted = made.clone();
    wanted.name.given = Some("Renamed".into());
    (wanted.version, wanted.updated) = (changed.version, changed.updated);
    if changer == Tongue::Ccs && wanted.role.is_none() {
        wanted.role = Some(1);
    }
    if changer == Tongue::Ccs && wanted.force_password_change.is_none() {
        // The same with a flag that it shows as false.
        wanted.force_password_change = Some(false);
    }
    if changer == Tongue::OnfireV2 && wanted.license.is_none() {
        // It shows the licence everybody has who has no other, and sends it back.
        wanted.license = Some("Standard".into());
    }
    assert_eq!(changed, wanted, "made over {maker:?}, changed over {changer:?}");
    for reader in ALL {
        world.check_shown(reader, &changed).await;
    }
    let gone = Command::DeleteUser(UserKey::Id(made.id));
    world.house.directory().run(&world.caller, gone).await.expect("gone");
}

// One test for each dialect that creates, so that they run at the same time.

#[test]
fn created_over_onfire_v2() {
    seen_everywhere_and_changed_anywhere(Tongue::OnfireV2);
}

#[test]
fn created_over_onfire_v1() {
    seen_everywhere_and_changed_anywhere(Tongue::OnfireV1);
}

#[test]
fn created_over_ccs() {
    seen_everywhere_and_changed_anywhere(Tongue::Ccs);
}

#[test]
fn created_over_publisher() {
    seen_everywhere_and_changed_anywhere(Tongue::Publisher);
}

#[test]
fn created_over_scim() {
    seen_everywhere_and_changed_anywhere(Tongue::Scim);
}
