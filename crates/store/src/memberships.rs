//! Merges concurrent changes of a user's memberships.
//!
//! Memberships also change from the group's side, which does not change the user's version. A user change that was
//! decided from older memberships is therefore applied to the stored ones.

use crate::unique_keys::kind_index;
use directory::{ItemId, ItemKind, User};
use std::collections::BTreeSet;

/// Adds memberships in the form `<kind>:<id>,…` to the user.
pub fn add_to_user(user: &mut User, memberships: &str) -> Result<(), uuid::Error> {
    for membership in memberships.split(',') {
        let (kind, id) = membership.split_once(':').unwrap_or_default();
        let id = uuid::Uuid::try_parse(id).map(ItemId)?;
        if kind.parse() == Ok(1 + kind_index(ItemKind::Folder)) {
            user.folders.push(id);
        } else {
            user.groups.push(id);
        }
    }
    user.groups.sort_unstable();
    user.folders.sort_unstable();
    Ok(())
}

/// Groups, folders and the organization, sorted and without duplicates.
pub fn all_of(user: &User) -> Vec<(ItemId, ItemKind)> {
    let of = |ids: &[ItemId], kind| ids.iter().map(|id| (*id, kind)).collect::<Vec<_>>();
    let mut all = of(&user.groups, ItemKind::Group);
    all.extend(of(&user.folders, ItemKind::Folder));
    all.extend(user.organization.map(|id| (id, ItemKind::Organization)));
    all.sort_unstable();
    all.dedup();
    all
}

/// Rebases a change onto the stored memberships: what differs between `before` and `after` is applied to `stored`,
/// and `before` becomes `stored`.
pub fn merge_into(stored: &User, before: &mut User, after: &mut User) {
    after.groups = three_way_merge(&stored.groups, &before.groups, &after.groups);
    after.folders = three_way_merge(&stored.folders, &before.folders, &after.folders);
    before.groups.clone_from(&stored.groups);
    before.folders.clone_from(&stored.folders);
}

fn three_way_merge(stored: &[ItemId], before: &[ItemId], after: &[ItemId]) -> Vec<ItemId> {
    let set = |ids: &[ItemId]| ids.iter().copied().collect::<BTreeSet<_>>();
    let (stored, before, decided) = (set(stored), set(before), set(after));
    if stored == before {
        return after.to_vec();
    }
    let retained = stored.iter().filter(|id| !before.contains(id) || decided.contains(id));
    retained.chain(decided.difference(&before)).copied().collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn changes_merge_into_stored_memberships() {
        let ids = |numbers: &[u128]| numbers.iter().map(|n| ItemId(Uuid::from_u128(*n))).collect::<Vec<_>>();
        for (stored, before, after, expected) in [
            // No concurrent change: the order stays as decided.
            (&[1, 2][..], &[1, 2][..], &[2, 1][..], &[2, 1][..]),
            (&[1, 2], &[1, 2], &[2, 3], &[2, 3]),
            // Concurrently removed from 1.
            (&[2], &[1, 2], &[1, 2], &[2]),
            (&[2], &[1, 2], &[1, 2, 3], &[2, 3]),
            // Concurrently added to 4.
            (&[1, 2, 4], &[1, 2], &[2], &[2, 4]),
            // Both made the same change.
            (&[1, 3], &[1], &[1, 3], &[1, 3]),
            (&[], &[1], &[], &[]),
        ] {
            assert_eq!(three_way_merge(&ids(stored), &ids(before), &ids(after)), ids(expected), "{stored:?}");
        }
    }
}
