//! Generated users are created over one dialect, read over every other with all attributes that it supports, and
//! changed there without losing data. Tests all ordered pairs of dialects.

mod expected_views;
mod fixture;
mod request_bodies;
mod targets;
mod user_generator;

use crate::support::runtime;
use directory::{Command, Field, Status, User, UserKey};
use fixture::Fixture;
use proptest::test_runner::TestRunner;
use std::sync::Arc;
use user_generator::{GeneratedUser, generated_user};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    OnfireV2,
    OnfireV1,
    Ccs,
    Publisher,
    Scim,
}

const ALL_DIALECTS: [Dialect; 5] =
    [Dialect::OnfireV2, Dialect::OnfireV1, Dialect::Ccs, Dialect::Publisher, Dialect::Scim];

/// Asserts that the stored user has the attributes that the dialect sent.
fn assert_stored(api: Dialect, p: &GeneratedUser, u: &User) {
    assert_eq!((u.name.given.as_ref(), u.name.family.as_ref()), (Some(&p.first), Some(&p.last)));
    let onfire = matches!(api, Dialect::OnfireV1 | Dialect::OnfireV2);
    if onfire {
        assert_eq!(u.groups.len() + u.folders.len(), usize::from(p.in_group) + usize::from(p.in_folder));
        // The user gets an invitation.
        assert!(u.status == Status::Invited && u.invited.is_some());
    }
    if api == Dialect::OnfireV2 {
        assert_eq!((&u.license, &u.time_zone, &u.color), (&p.licence, &p.time_zone, &p.color));
        assert_eq!(u.text(Field::Country), p.address_lines[4].as_deref());
        assert_eq!(u.metadata.len(), p.metadata.len());
    }
    if api == Dialect::Scim {
        assert_eq!((&u.profile.nick_name, &u.employment.division), (&p.nick_name, &p.division));
        assert_eq!((&u.name.middle, &u.name.honorific_prefix), (&p.middle_name, &p.prefix));
        assert_eq!(u.emails.len(), 1 + usize::from(p.has_home_email));
        assert_eq!((&u.license, &u.time_zone, &u.color), (&p.licence, &p.time_zone, &p.color));
        assert_eq!(u.metadata.len(), p.metadata.len());
        assert!(matches!(u.status, Status::Active | Status::Inactive));
    }
    if onfire || matches!(api, Dialect::Publisher | Dialect::Scim) {
        assert_eq!(u.external_id, p.external_id);
    }
    if api != Dialect::Publisher {
        assert_eq!(u.role, Some(p.role));
    }
    if api == Dialect::Ccs {
        assert_eq!((u.text(Field::HonorificPrefix), u.phone("work")), (p.prefix.as_deref(), p.phone.as_deref()));
        assert_eq!(u.department.is_some(), p.department_number.is_some());
        assert_eq!(u.force_password_change, Some(p.force_password_change));
    }
    if matches!(api, Dialect::Publisher | Dialect::Scim) {
        assert_eq!(u.phone("mobile"), p.mobile.as_deref());
        assert_eq!((&u.title, &u.department), (&p.title, &p.department));
        assert_eq!(
            (&u.bio, &u.source, &u.specialties, u.preferred_photo()),
            (&p.bio, &p.source, &p.specialities, p.photo.as_deref())
        );
        let lines = (u.text(Field::AddressLine1), u.text(Field::PostalCode));
        assert_eq!(lines, (p.address_lines[0].as_deref(), p.address_lines[3].as_deref()));
        assert_eq!(u.links.len(), p.links.len());
        assert_eq!(u.office, (api == Dialect::Publisher).then_some(5));
    }
}

/// Generated users, each created over `maker` and changed over every dialect.
fn round_trip_over_all_dialects(maker: Dialect) {
    let runtime = runtime();
    let world = Arc::new(runtime.block_on(Fixture::new()));
    let next = std::cell::Cell::new(0_u32);
    let mut runner = TestRunner::new(testkit::seeds::proptest_config(20, file!()));
    let outcome = runner.run(&generated_user(), |person| {
        let mut changes = tokio::task::JoinSet::new();
        for changer in ALL_DIALECTS {
            let number = next.get() + 1;
            next.set(number);
            let email = format!("Person.{number}@Example.com");
            let mut person = person.clone();
            person.external_id = person.external_id.map(|id| {
                let short: String = id.chars().take(20).collect();
                format!("{short}{number}")
            });
            let world = Arc::clone(&world);
            let pair = async move { Box::pin(check_pair(&world, maker, changer, &person, &email)).await };
            changes.spawn_on(pair, runtime.handle());
        }
        runtime.block_on(changes.join_all());
        Ok(())
    });
    outcome.expect("every pair");
}

async fn check_pair(world: &Fixture, maker: Dialect, changer: Dialect, person: &GeneratedUser, email: &str) {
    let made = world.create(maker, person, email).await;
    assert_stored(maker, person, &made);
    for reader in ALL_DIALECTS {
        world.assert_view(reader, &made).await;
    }
    world.rename(changer, &made, "Renamed").await;
    let changed = world.stored_user(made.number).await;
    let mut wanted = made.clone();
    wanted.name.given = Some("Renamed".into());
    (wanted.version, wanted.updated) = (changed.version, changed.updated);
    if changer == Dialect::Ccs && wanted.role.is_none() {
        wanted.role = Some(1);
    }
    if changer == Dialect::Ccs && wanted.force_password_change.is_none() {
        // It shows the missing flag as false and sends it back.
        wanted.force_password_change = Some(false);
    }
    if changer == Dialect::OnfireV2 && wanted.license.is_none() {
        // It shows the default license and sends it back.
        wanted.license = Some("Standard".into());
    }
    assert_eq!(changed, wanted, "created over {maker:?}, changed over {changer:?}");
    for reader in ALL_DIALECTS {
        world.assert_view(reader, &changed).await;
    }
    let gone = Command::DeleteUser(UserKey::Id(made.id));
    world.app.directory().run(&world.caller, gone).await.expect("deleted");
}

// One test for each creating dialect, so that they run concurrently.

#[test]
fn created_over_onfire_v2() {
    round_trip_over_all_dialects(Dialect::OnfireV2);
}

#[test]
fn created_over_onfire_v1() {
    round_trip_over_all_dialects(Dialect::OnfireV1);
}

#[test]
fn created_over_ccs() {
    round_trip_over_all_dialects(Dialect::Ccs);
}

#[test]
fn created_over_publisher() {
    round_trip_over_all_dialects(Dialect::Publisher);
}

#[test]
fn created_over_scim() {
    round_trip_over_all_dialects(Dialect::Scim);
}
