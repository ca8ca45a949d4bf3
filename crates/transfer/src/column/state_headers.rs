//! Headers for the state of an account, in several languages and forms.

use super::{Column, column_by_name};
use crate::account_state::AccountState;

/// Words for an account beside the word for its state. A word that contains another one comes first.
const ACCOUNT_WORDS: [&str; 19] = [
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
/// State words that, as a header, do not concern the account: a confirmed address, a recovery option, an expired
/// password.
const AMBIGUOUS_WORDS: [&str; 3] = ["confirmed", "recovery", "passwordexpired"];
/// Endings of headers that may be a status, depending on the values.
const STATUS_SUFFIXES: [&str; 7] = ["status", "state", "statut", "zustand", "estado", "stato", "situação"];
/// What the status is of. "MFA Status", "License Status" and the like are not the status of the account.
const STATUS_PREFIXES: [&str; 6] = ["lifecycle", "employment", "beschäftigungs", "mitglieds", "member", "person"];

/// The column of a normalized header that contains a known state word.
pub(super) fn state_column(header: &str) -> Option<&'static Column> {
    let word = ACCOUNT_WORDS.iter().find_map(|account| header.strip_prefix(account)).unwrap_or(header);
    let word = ACCOUNT_WORDS.iter().find_map(|account| word.strip_suffix(account)).unwrap_or(word);
    if word != header && matches!(word, "allowed" | "erlaubt" | "permitido") {
        return column_by_name("active");
    }
    if AMBIGUOUS_WORDS.contains(&word) {
        return None;
    }
    column_by_name(match AccountState::from_word(word)? {
        AccountState::Active => "active",
        AccountState::Inactive => "disabled",
        AccountState::Suspended => "suspended",
        AccountState::Archived => "archived",
        AccountState::Deleted => "deleted",
        AccountState::Invited => return None,
    })
}

/// Whether a normalized header may be a status, depending on its values.
pub(super) fn may_be_status(header: &str) -> bool {
    let prefix = STATUS_SUFFIXES.iter().find_map(|ending| header.strip_suffix(ending));
    prefix
        .is_some_and(|prefix| prefix.is_empty() || ACCOUNT_WORDS.contains(&prefix) || STATUS_PREFIXES.contains(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell_value::normalize_header;

    #[test]
    fn state_headers_are_found_in_all_languages() {
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
            assert_eq!(state_column(&normalize_header(header)).map(|column| column.name), wanted, "{header}");
        }
        for header in ["Lifecycle State", "Employee Status", "Status"] {
            assert!(may_be_status(&normalize_header(header)), "{header}");
        }
        for header in ["MFA Status", "License Status", "Sync state", "Manager Status", "Status date"] {
            assert!(!may_be_status(&normalize_header(header)), "{header}");
        }
    }
}
