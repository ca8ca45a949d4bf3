//! How other systems mark accounts as inactive. If a row has several marks, the most restrictive one applies.

use crate::cell_value::{self, InvalidValue, normalize_header};
use directory::{FieldUpdate, RequestedStatus, Status, Time};
use jiff::civil::{Date, DateTime, Time as TimeOfDay};
use serde_json::Value;

/// How a column encodes the state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateRule {
    Enabled,
    /// True, or a past timestamp, is inactive.
    Disabled,
    /// True, or a past timestamp, is suspended.
    Suspended,
    /// True, or a past timestamp, is archived.
    Archived,
    /// True, or a past timestamp, is deleted.
    Deleted,
    /// Active Directory's `userAccountControl`: bit 2 is inactive.
    AccountControl,
    /// `OpenLDAP`'s `pwdAccountLockedTime`: the value of a permanent lock is inactive; others are temporary locks.
    LockedTime,
    /// Moodle's `auth`: `nologin` is inactive.
    AuthMethod,
    /// Samba's `sambaAcctFlags`: the flag `D` is inactive.
    SambaFlags,
    /// An expiry time: 100 ns since 1601 (`accountExpires`), days since 1970 (`shadowExpire`) or generalized time
    /// (`krbPrincipalExpiration`, RFC 4517). Past times are inactive.
    Expires(ExpiryUnit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryUnit {
    FileTime,
    Days,
    GeneralizedTime,
}

/// States of an account in ascending order of restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AccountState {
    Active,
    Invited,
    Suspended,
    Inactive,
    Archived,
    Deleted,
}

impl AccountState {
    /// The state that a status word means. Headers use the same words.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let word = normalize_header(word);
        let found = STATE_WORDS.iter().find(|(_, words)| words.split_whitespace().any(|known| known == word));
        found.map(|(state, _)| *state)
    }

    /// The status of an account in this state; `None` for deleted ones.
    pub(crate) fn status(self) -> Option<Status> {
        Some(match self {
            Self::Active => Status::Active,
            Self::Invited => Status::Invited,
            Self::Suspended => Status::Suspended,
            Self::Inactive => Status::Inactive,
            Self::Archived => Status::Archived,
            Self::Deleted => return None,
        })
    }
}

const STATE_WORDS: [(AccountState, &str); 6] = [
    (
        AccountState::Active,
        "active enabled activated confirmed recovery passwordexpired aktiv aktiviert freigeschaltet actif activé activée activo activado \
         activa habilitado habilitada activada attivo attiva attivato attivata abilitato abilitata ativo ativa ativado ativada actief ingeschakeld",
    ),
    (
        AccountState::Invited,
        "invited pending staged provisioned onboarding eingeladen ausstehend invité invitée enattente invitado invitada \
         pendiente invitato inattesa convidado pendente uitgenodigd",
    ),
    (
        AccountState::Suspended,
        "suspended lockedout onhold suspendiert suspendu suspendue suspendido suspendida sospeso sospesa suspenso suspensa \
         geschorst beurlaubt karenziert",
    ),
    (
        AccountState::Inactive,
        "inactive disabled deactivated blocked locked banned terminated left former ldapblocked blockedpendingapproval \
         inaktiv deaktiviert gesperrt blockiert ausgeschieden ausgetreten ehemalig inactif désactivé désactivée bloqué \
         bloquée inactivo inactiva desactivado desactivada bloqueado bloqueada inattivo inattiva disattivato disabilitato \
         bloccato bloccata baja debaja dadodebaja retirado jubilado jubilada cesado inativo inativa desativado desativada inactief \
         uitgeschakeld geblokkeerd deshabilitado deshabilitada inhabilitado verrouillé verrouillée deprovisioned",
    ),
    (AccountState::Archived, "archived archiviert archivé archivée archivado archiviato arquivado gearchiveerd"),
    (
        AccountState::Deleted,
        "deleted removed gelöscht geloescht entfernt supprimé supprimée eliminado eliminada eliminato \
         eliminata cancellato excluído verwijderd",
    ),
];

const ACCOUNT_DISABLED: i64 = 2;
/// The `pwdAccountLockedTime` of an account that is locked until an administrator unlocks it.
const LOCKED_PERMANENTLY: &str = "000001010000Z";
/// Seconds from 1601 to 1970.
const FILETIME_EPOCH_OFFSET: i64 = 11_644_473_600;
const SECONDS_PER_DAY: i64 = 86_400;

/// The state that a cell's value means, if any. `now` is compared with expiry times.
pub(crate) fn parse(
    rule: StateRule,
    cell: &Value,
    now: Time,
) -> Result<Option<(AccountState, RequestedStatus)>, InvalidValue> {
    let FieldUpdate::Set(text) = cell_value::text(cell)? else { return Ok(None) };
    let text = text.trim();
    let inactive_if = |is_off: bool| is_off.then_some((AccountState::Inactive, RequestedStatus::Inactive));
    let active = (AccountState::Active, RequestedStatus::Active);
    let is_true = || match cell_value::boolean(cell)? {
        FieldUpdate::Set(flag) => Ok(flag),
        FieldUpdate::Clear | FieldUpdate::Keep => Ok(false),
    };
    // Some systems write a timestamp instead of a flag.
    let is_true_or_time = || if let Some(is_set) = is_past(text, now) { Ok(is_set) } else { is_true() };
    let set_status = |status| RequestedStatus::Exact(status);
    Ok(match rule {
        StateRule::Enabled if AccountState::from_word(text) == Some(AccountState::Active) => Some(active),
        StateRule::Enabled if AccountState::from_word(text) == Some(AccountState::Inactive) => inactive_if(true),
        StateRule::Enabled => {
            if is_true()? {
                Some(active)
            } else {
                inactive_if(true)
            }
        }
        StateRule::Disabled => inactive_if(is_true_or_time()?).or(Some(active)),
        StateRule::Suspended if is_true_or_time()? => Some((AccountState::Suspended, set_status(Status::Suspended))),
        StateRule::Suspended => Some(active),
        StateRule::Archived => is_true_or_time()?.then_some((AccountState::Archived, set_status(Status::Archived))),
        StateRule::Deleted => is_true_or_time()?.then_some((AccountState::Deleted, RequestedStatus::Inactive)),
        StateRule::AccountControl => {
            let hexadecimal = text.strip_prefix("0x").map(|digits| i64::from_str_radix(digits, 16));
            let flags = hexadecimal.unwrap_or_else(|| text.parse()).or(Err(InvalidValue("must be a number".into())))?;
            inactive_if(flags & ACCOUNT_DISABLED != 0).or(Some(active))
        }
        StateRule::LockedTime => inactive_if(text == LOCKED_PERMANENTLY),
        StateRule::AuthMethod => inactive_if(text.eq_ignore_ascii_case("nologin")),
        StateRule::SambaFlags => inactive_if(text.starts_with('[') && text.contains('D')),
        StateRule::Expires(unit) => {
            inactive_if(parse_expiry(unit, text)?.is_some_and(|seconds| seconds <= now.0 / 1_000_000))
        }
    })
}

/// Whether a text that begins with a date is in the past; `None` for other texts.
fn is_past(text: &str, now: Time) -> Option<bool> {
    let date = text.get(..10).and_then(|date| date.parse::<Date>().ok());
    let midnight = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    if let Some(midnight) = midnight {
        return Some(midnight.timestamp().as_microsecond() <= now.0);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // MySQL writes `0000-00-00` for "never".
    let is_day = || text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    let is_date = digits == 4 && text.as_bytes().get(4) == Some(&b'-') || digits >= 8;
    is_date.then(is_day)
}

/// An expiry time in seconds since 1970; `None` means never.
fn parse_expiry(unit: ExpiryUnit, text: &str) -> Result<Option<i64>, InvalidValue> {
    let wrong = || InvalidValue("is not a valid time".into());
    let number = || text.parse::<i64>().or(Err(wrong()));
    let seconds = |time: DateTime| match time.to_zoned(jiff::tz::TimeZone::UTC) {
        Ok(time) => Ok(Some(time.timestamp().as_second())),
        Err(_) => Err(wrong()),
    };
    // Some tools write dates regardless of the attribute's unit.
    if let Some(date) = text.get(..10).and_then(|date| date.parse::<Date>().ok()) {
        return seconds(date.to_datetime(TimeOfDay::midnight()));
    }
    Ok(match unit {
        // 0 and the maximum mean never.
        ExpiryUnit::FileTime => match number()? {
            0 | i64::MAX => None,
            ticks => Some(ticks / 10_000_000 - FILETIME_EPOCH_OFFSET),
        },
        ExpiryUnit::Days => match number()? {
            ..0 => None,
            days => Some(days.saturating_mul(SECONDS_PER_DAY)),
        },
        ExpiryUnit::GeneralizedTime => {
            // Minutes and seconds are optional.
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let padded = format!("{:0<14}", &text[..digits]);
            if !matches!(digits, 10 | 12 | 14) {
                return Err(wrong());
            }
            seconds(DateTime::strptime("%Y%m%d%H%M%S", padded).or(Err(wrong()))?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_other_systems_are_parsed() {
        // 2026-01-01
        let now = Time(1_767_225_600_000_000);
        let state = |rule, text: &str| parse(rule, &json!(text), now).map(|said| said.map(|(state, _)| state));
        for (rule, text, wanted) in [
            (StateRule::Enabled, "FALSE", Some(AccountState::Inactive)),
            (StateRule::Enabled, "DISABLED", Some(AccountState::Inactive)),
            (StateRule::Enabled, "True", Some(AccountState::Active)),
            (StateRule::Disabled, "Yes", Some(AccountState::Inactive)),
            (StateRule::Disabled, "2024-05-01T10:00:00Z", Some(AccountState::Inactive)),
            (StateRule::Disabled, "2030-12-31", Some(AccountState::Active)),
            (StateRule::Disabled, "0", Some(AccountState::Active)),
            (StateRule::Suspended, "1", Some(AccountState::Suspended)),
            (StateRule::Deleted, "0", None),
            (StateRule::AccountControl, "66050", Some(AccountState::Inactive)),
            (StateRule::AccountControl, "66048", Some(AccountState::Active)),
            (StateRule::LockedTime, "000001010000Z", Some(AccountState::Inactive)),
            (StateRule::LockedTime, "20240101000000Z", None),
            (StateRule::AuthMethod, "nologin", Some(AccountState::Inactive)),
            (StateRule::AuthMethod, "manual", None),
            (StateRule::SambaFlags, "[UD         ]", Some(AccountState::Inactive)),
            (StateRule::SambaFlags, "[U          ]", None),
            (StateRule::Expires(ExpiryUnit::FileTime), "0", None),
            (StateRule::Expires(ExpiryUnit::FileTime), "9223372036854775807", None),
            (StateRule::Expires(ExpiryUnit::FileTime), "132223456789000000", Some(AccountState::Inactive)),
            (StateRule::Expires(ExpiryUnit::Days), "-1", None),
            (StateRule::Expires(ExpiryUnit::Days), "11108", Some(AccountState::Inactive)),
            (StateRule::Expires(ExpiryUnit::Days), "99999", None),
            (StateRule::Expires(ExpiryUnit::GeneralizedTime), "20200101000000Z", Some(AccountState::Inactive)),
            (StateRule::Expires(ExpiryUnit::GeneralizedTime), "20991231235959.0Z", None),
            (StateRule::Expires(ExpiryUnit::GeneralizedTime), "202001010000Z", Some(AccountState::Inactive)),
            (StateRule::Expires(ExpiryUnit::GeneralizedTime), "2099010100Z", None),
            (StateRule::Expires(ExpiryUnit::FileTime), "2020-01-01 10:00:00", Some(AccountState::Inactive)),
            (StateRule::Expires(ExpiryUnit::FileTime), "2099-01-01", None),
            (StateRule::AccountControl, "0x202", Some(AccountState::Inactive)),
            (StateRule::AccountControl, "0x200", Some(AccountState::Active)),
            (StateRule::Deleted, "0000-00-00 00:00:00", None),
            (StateRule::Deleted, "2020-01-01 00:00:00", Some(AccountState::Deleted)),
        ] {
            assert_eq!(state(rule, text), Ok(wanted), "{rule:?} {text}");
        }
        assert!(state(StateRule::Disabled, "perhaps").is_err());
        assert!(state(StateRule::AccountControl, "NORMAL").is_err());
        for text in ["2020", "20200101", "soon", "20201301000000Z"] {
            assert!(state(StateRule::Expires(ExpiryUnit::GeneralizedTime), text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_of_other_languages_are_known() {
        for (word, wanted) in [
            ("Aktiv", Some(AccountState::Active)),
            ("Gesperrt", Some(AccountState::Inactive)),
            ("désactivé", Some(AccountState::Inactive)),
            ("LOCKED_OUT", Some(AccountState::Suspended)),
            ("gelöscht", Some(AccountState::Deleted)),
            ("Baja", Some(AccountState::Inactive)),
            ("WA", None),
            ("Bayern", None),
        ] {
            assert_eq!(AccountState::from_word(word), wanted, "{word}");
        }
    }
}
