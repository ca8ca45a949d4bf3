//! Headers that say in one of many languages and forms that an account may or may not be used.

use super::{Column, named};
use crate::account_state::State;

/// What may stand beside the word for a state: what it is the state of. The longer ones come first.
const ACCOUNTS: [&str; 19] = [
    "mitarbeiter",
    "utilisateur",
    "gebruiker",
    "anmeldung",
    "benutzer",
    "employee",
    "usuario",
    "account",
    "usuário",
    "utente",
    "cuenta",
    "compte",
    "signin",
    "konto",
    "login",
    "conta",
    "user",
    "ist",
    "is",
];
/// Words for a state that are about something else in a header: an address, a password, a recovery.
const OTHER_SENSES: [&str; 3] = ["confirmed", "recovery", "passwordexpired"];
/// How headers end below which a status stands, or something else.
const STATUS: [&str; 7] = ["status", "state", "statut", "zustand", "estado", "stato", "situação"];
/// What the status is of. That of something else, such as "MFA Status" or "License Status", is not the account's.
const OF_ACCOUNT: [&str; 6] = ["lifecycle", "employment", "beschäftigungs", "mitglieds", "member", "person"];

/// The column that a header means, of which only letters and digits are left, if its word for a state is known.
pub(super) fn column(header: &str) -> Option<&'static Column> {
    let word = ACCOUNTS.iter().find_map(|account| header.strip_prefix(account)).unwrap_or(header);
    let word = ACCOUNTS.iter().find_map(|account| word.strip_suffix(account)).unwrap_or(word);
    if word != header && matches!(word, "allowed" | "erlaubt" | "permitido") {
        return named("active");
    }
    if OTHER_SENSES.contains(&word) {
        return None;
    }
    named(match State::of_word(word)? {
        State::Active => "active",
        State::Inactive => "disabled",
        State::Suspended => "suspended",
        State::Archived => "archived",
        State::Deleted => "deleted",
        State::Invited => return None,
    })
}

/// Whether a status may stand below a header, of which only letters and digits are left.
pub(super) fn may_be_status(header: &str) -> bool {
    let of = STATUS.iter().find_map(|ending| header.strip_suffix(ending));
    of.is_some_and(|of| of.is_empty() || ACCOUNTS.contains(&of) || OF_ACCOUNT.contains(&of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::squeezed;

    #[test]
    fn states_are_known_in_every_language_of_the_words() {
        for (header, wanted) in [
            ("Geblokkeerd", Some("disabled")),
            ("Actief", Some("active")),
            ("Ativo", Some("active")),
            ("Deshabilitado", Some("disabled")),
            ("Habilitado", Some("active")),
            ("Cuenta activa", Some("active")),
            ("Suspendu", Some("suspended")),
            ("Supprimé", Some("deleted")),
            ("Verrouillé", Some("disabled")),
            ("Benutzer aktiv", Some("active")),
            ("Archiviert", Some("archived")),
            ("Login enabled", Some("active")),
            ("Sign-in blocked", Some("disabled")),
            ("Sign in allowed", Some("active")),
            ("Is Locked", Some("disabled")),
            ("User Password Expired", None),
            ("is_confirmed", None),
            ("Account Recovery", None),
            ("Confirmed", None),
            ("Pending", None),
            ("Allowed", None),
            ("City", None),
        ] {
            assert_eq!(column(&squeezed(header)).map(|column| column.name), wanted, "{header}");
        }
        for header in ["Lifecycle State", "Employee Status", "Status"] {
            assert!(may_be_status(&squeezed(header)), "{header}");
        }
        for header in ["MFA Status", "License Status", "Sync state", "Manager Status", "Status date"] {
            assert!(!may_be_status(&squeezed(header)), "{header}");
        }
    }
}
