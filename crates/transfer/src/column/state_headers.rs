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
/// Words for a state that headers have in other senses: dates, codes, and progress.
const OTHER_SENSES: [&str; 8] =
    ["confirmed", "activated", "recovery", "passwordexpired", "left", "former", "baja", "removed"];
/// How headers end below which a status stands, or something else.
const STATUS: [&str; 7] = ["status", "state", "statut", "zustand", "estado", "stato", "situação"];

/// The column that a header means, of which only letters and digits are left, if its word for a state is known.
pub(super) fn column(header: &str) -> Option<&'static Column> {
    let word = ACCOUNTS.iter().find_map(|account| header.strip_prefix(account)).unwrap_or(header);
    let word = ACCOUNTS.iter().find_map(|account| word.strip_suffix(account)).unwrap_or(word);
    if word != header && matches!(word, "allowed" | "erlaubt" | "permitido") {
        return named("active");
    }
    if word == header && OTHER_SENSES.contains(&word) {
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
    STATUS.iter().any(|ending| header.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::squeezed;

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
            ("Left", None),
            ("Confirmed", None),
            ("Pending", None),
            ("Allowed", None),
            ("City", None),
        ] {
            assert_eq!(column(&squeezed(header)).map(|column| column.name), wanted, "{header}");
        }
        assert!(may_be_status(&squeezed("Lifecycle State")) && !may_be_status("statusdate"));
    }
}
