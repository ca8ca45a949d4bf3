//! What a user belongs to.
//!
//! Memberships are changed from the side of the group as well, which leaves the user's version as it is. So a change of a user
//! that was decided from an older state is carried out on the memberships that are stored when it is carried out.

use crate::unique_keys::kind_index;
use directory::{ItemId, ItemKind, User};
use std::collections::BTreeSet;

/// Puts what a user belongs to, `<kind>:<id>` with commas between, into their document.
pub(crate) fn add_to_user(user: &mut User, memberships: &str) -> Result<(), uuid::Error> {
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

/// Everything a user belongs to.
pub(crate) fn item_ids(user: &User) -> impl Iterator<Item = ItemId> {
    user.groups.iter().chain(&user.folders).chain(&user.organization).copied()
}

/// Carries a change over to the memberships that are stored: `after`, decided from `before`, leaves what it left and joins
/// what it joined, and `before` becomes what is stored.
pub(crate) fn merge_into(stored: &User, before: &mut User, after: &mut User) {
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

/// Whether two states of a user differ in their memberships alone, if they differ at all.
pub(crate) fn eq_ignoring_memberships(one: &User, other: &User) -> bool {
    let bare = |user: &User| User { groups: Vec::new(), folders: Vec::new(), ..user.clone() };
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn changes_merge_into_stored_memberships() {
        let ids = |numbers: &[u128]| numbers.iter().map(|n| ItemId(Uuid::from_u128(*n))).collect::<Vec<_>>();
        for (stored, before, after, expected) in [
            // Nobody else has changed anything: the order stays as it was decided.
            (&[1, 2][..], &[1, 2][..], &[2, 1][..], &[2, 1][..]),
            (&[1, 2], &[1, 2], &[2, 3], &[2, 3]),
            // Removed from 1 meanwhile.
            (&[2], &[1, 2], &[1, 2], &[2]),
            (&[2], &[1, 2], &[1, 2, 3], &[2, 3]),
            // Added to 4 meanwhile.
            (&[1, 2, 4], &[1, 2], &[2], &[2, 4]),
            // Both did the same.
            (&[1, 3], &[1], &[1, 3], &[1, 3]),
            (&[], &[1], &[], &[]),
        ] {
            assert_eq!(three_way_merge(&ids(stored), &ids(before), &ids(after)), ids(expected), "{stored:?}");
        }
    }
}
