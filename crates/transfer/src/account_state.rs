//! How systems say that an account may not be used. Of several statements about one account, the most restrictive counts.

use crate::value::squeezed;
use crate::value::{self, Wrong};
use directory::{FieldUpdate, RequestedStatus, Status, Time};
use jiff::civil::{Date, DateTime, Time as TimeOfDay};
use serde_json::Value;

/// How a column says what the state of an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// True is active.
    Enabled,
    /// True, or a time, is inactive.
    Disabled,
    /// True, or a time, is suspended.
    Suspended,
    /// True, or a time, is archived.
    Archived,
    /// True, or a time, is deleted.
    Deleted,
    /// Bit 2 is inactive: Active Directory's `userAccountControl`.
    AccountControl,
    /// The time that means for ever: `pwdAccountLockedTime` of `OpenLDAP`. Others are temporary locks.
    LockedTime,
    /// `nologin`: `auth` of Moodle.
    SignInMethod,
    /// A letter D among its flags: Samba's `sambaAcctFlags`.
    SambaFlags,
    /// A time, as 100 ns since 1601 (`accountExpires`), as days since 1970 (`shadowExpire`) or as a generalized time
    /// (`krbPrincipalExpiration`, RFC 4517). In the past, it is inactive.
    Expires(Unit),
}

/// The unit of a time of expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained above")]
pub enum Unit {
    FileTime,
    Days,
    Generalized,
}

/// States of an account, the most restrictive last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Active,
    Invited,
    Suspended,
    Inactive,
    Archived,
    Deleted,
}

impl State {
    /// The status that a word of any language means, whose headers are known, too.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let word = squeezed(word);
        let found = WORDS.iter().find(|(_, words)| words.split_whitespace().any(|known| known == word));
        found.map(|(state, _)| *state)
    }

    /// The status it becomes, where it is said by its name.
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

const WORDS: [(State, &str); 6] = [
    (
        State::Active,
        "active enabled activated confirmed recovery passwordexpired aktiv aktiviert freigeschaltet actif activé activée activo activado \
         activa habilitado habilitada activada attivo attiva attivato attivata abilitato abilitata ativo ativa ativado ativada actief ingeschakeld",
    ),
    (
        State::Invited,
        "invited pending staged provisioned onboarding eingeladen ausstehend invité invitée enattente invitado invitada \
         pendiente invitato inattesa convidado pendente uitgenodigd",
    ),
    (
        State::Suspended,
        "suspended lockedout onhold suspendiert suspendu suspendue suspendido suspendida sospeso sospesa suspenso suspensa \
         geschorst beurlaubt karenziert",
    ),
    (
        State::Inactive,
        "inactive disabled deactivated blocked locked banned terminated left former ldapblocked blockedpendingapproval \
         inaktiv deaktiviert gesperrt blockiert ausgeschieden ausgetreten ehemalig inactif désactivé désactivée bloqué \
         bloquée inactivo inactiva desactivado desactivada bloqueado bloqueada inattivo inattiva disattivato disabilitato \
         bloccato bloccata baja debaja dadodebaja retirado jubilado jubilada cesado inativo inativa desativado desativada inactief \
         uitgeschakeld geblokkeerd deshabilitado deshabilitada inhabilitado verrouillé verrouillée deprovisioned",
    ),
    (State::Archived, "archived archiviert archivé archivée archivado archiviato arquivado gearchiveerd"),
    (
        State::Deleted,
        "deleted removed gelöscht geloescht entfernt supprimé supprimée eliminado eliminada eliminato \
         eliminata cancellato excluído verwijderd",
    ),
];

/// The `userAccountControl` bit of a disabled account.
const ACCOUNT_DISABLED: i64 = 2;
/// The `pwdAccountLockedTime` of an account that is locked until an administrator unlocks it.
const LOCKED_FOR_EVER: &str = "000001010000Z";
/// Seconds from 1601 to 1970.
const FILE_TIME_EPOCH: i64 = 11_644_473_600;
const DAY: i64 = 86_400;

/// What a cell says, if it says anything about the account. `now` is compared with times of expiry.
pub(crate) fn read(rule: Rule, cell: &Value, now: Time) -> Result<Option<(State, RequestedStatus)>, Wrong> {
    let FieldUpdate::Set(text) = value::text(cell)? else { return Ok(None) };
    let text = text.trim();
    let off = |is_off: bool| is_off.then_some((State::Inactive, RequestedStatus::Inactive));
    let on = (State::Active, RequestedStatus::Active);
    let is_true = || match value::flag(cell)? {
        FieldUpdate::Set(flag) => Ok(flag),
        FieldUpdate::Clear | FieldUpdate::Keep => Ok(false),
    };
    // Some write since when instead of whether.
    let is_true_or_time = || if let Some(is_set) = is_past(text, now) { Ok(is_set) } else { is_true() };
    let to = |status| RequestedStatus::Exact(status);
    Ok(match rule {
        Rule::Enabled if State::of_word(text) == Some(State::Active) => Some(on),
        Rule::Enabled if State::of_word(text) == Some(State::Inactive) => off(true),
        Rule::Enabled => {
            if is_true()? {
                Some(on)
            } else {
                off(true)
            }
        }
        Rule::Disabled => off(is_true_or_time()?).or(Some(on)),
        Rule::Suspended if is_true_or_time()? => Some((State::Suspended, to(Status::Suspended))),
        Rule::Suspended => Some(on),
        Rule::Archived => is_true_or_time()?.then_some((State::Archived, to(Status::Archived))),
        Rule::Deleted => is_true_or_time()?.then_some((State::Deleted, RequestedStatus::Inactive)),
        Rule::AccountControl => {
            let hexadecimal = text.strip_prefix("0x").map(|digits| i64::from_str_radix(digits, 16));
            let flags =
                hexadecimal.unwrap_or_else(|| text.parse()).or(Err(Wrong("is not a number".into())))?;
            off(flags & ACCOUNT_DISABLED != 0).or(Some(on))
        }
        Rule::LockedTime => off(text == LOCKED_FOR_EVER),
        Rule::SignInMethod => off(text.eq_ignore_ascii_case("nologin")),
        Rule::SambaFlags => off(text.starts_with('[') && text.contains('D')),
        Rule::Expires(unit) => off(expires(unit, text)?.is_some_and(|seconds| seconds <= now.0 / 1_000_000)),
    })
}

/// Whether a text that begins with a date names a day that has come.
fn is_past(text: &str, now: Time) -> Option<bool> {
    let date = text.get(..10).and_then(|date| date.parse::<Date>().ok());
    let midnight = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    if let Some(midnight) = midnight {
        return Some(midnight.timestamp().as_microsecond() <= now.0);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // MySQL has `0000-00-00` for never.
    let is_day = || text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    let is_date = digits == 4 && text.as_bytes().get(4) == Some(&b'-') || digits >= 8;
    is_date.then(is_day)
}

/// A time of expiry, in seconds since 1970; `None` is never.
fn expires(unit: Unit, text: &str) -> Result<Option<i64>, Wrong> {
    let wrong = || Wrong("is not a time".into());
    let number = || text.parse::<i64>().or(Err(wrong()));
    let seconds = |time: DateTime| match time.to_zoned(jiff::tz::TimeZone::UTC) {
        Ok(time) => Ok(Some(time.timestamp().as_second())),
        Err(_) => Err(wrong()),
    };
    // Some tools write dates whatever the attribute's own unit is.
    if let Some(date) = text.get(..10).and_then(|date| date.parse::<Date>().ok()) {
        return seconds(date.to_datetime(TimeOfDay::midnight()));
    }
    Ok(match unit {
        // 0 and the highest number are never.
        Unit::FileTime => match number()? {
            0 | i64::MAX => None,
            ticks => Some(ticks / 10_000_000 - FILE_TIME_EPOCH),
        },
        Unit::Days => match number()? {
            ..0 => None,
            days => Some(days.saturating_mul(DAY)),
        },
        Unit::Generalized => {
            // Minutes and seconds may be left out.
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let whole = format!("{:0<14}", &text[..digits]);
            if !matches!(digits, 10 | 12 | 14) {
                return Err(wrong());
            }
            seconds(DateTime::strptime("%Y%m%d%H%M%S", whole).or(Err(wrong()))?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn systems_say_disabled_in_many_ways() {
        // 2026-01-01
        let now = Time(1_767_225_600_000_000);
        let state = |rule, text: &str| read(rule, &json!(text), now).map(|said| said.map(|(state, _)| state));
        for (rule, text, wanted) in [
            (Rule::Enabled, "FALSE", Some(State::Inactive)),
            (Rule::Enabled, "DISABLED", Some(State::Inactive)),
            (Rule::Enabled, "True", Some(State::Active)),
            (Rule::Disabled, "Yes", Some(State::Inactive)),
            (Rule::Disabled, "2024-05-01T10:00:00Z", Some(State::Inactive)),
            (Rule::Disabled, "2030-12-31", Some(State::Active)),
            (Rule::Disabled, "0", Some(State::Active)),
            (Rule::Suspended, "1", Some(State::Suspended)),
            (Rule::Deleted, "0", None),
            (Rule::AccountControl, "66050", Some(State::Inactive)),
            (Rule::AccountControl, "66048", Some(State::Active)),
            (Rule::LockedTime, "000001010000Z", Some(State::Inactive)),
            (Rule::LockedTime, "20240101000000Z", None),
            (Rule::SignInMethod, "nologin", Some(State::Inactive)),
            (Rule::SignInMethod, "manual", None),
            (Rule::SambaFlags, "[UD         ]", Some(State::Inactive)),
            (Rule::SambaFlags, "[U          ]", None),
            (Rule::Expires(Unit::FileTime), "0", None),
            (Rule::Expires(Unit::FileTime), "9223372036854775807", None),
            (Rule::Expires(Unit::FileTime), "132223456789000000", Some(State::Inactive)),
            (Rule::Expires(Unit::Days), "-1", None),
            (Rule::Expires(Unit::Days), "11108", Some(State::Inactive)),
            (Rule::Expires(Unit::Days), "99999", None),
            (Rule::Expires(Unit::Generalized), "20200101000000Z", Some(State::Inactive)),
            (Rule::Expires(Unit::Generalized), "20991231235959.0Z", None),
            (Rule::Expires(Unit::Generalized), "202001010000Z", Some(State::Inactive)),
            (Rule::Expires(Unit::Generalized), "2099010100Z", None),
            (Rule::Expires(Unit::FileTime), "2020-01-01 10:00:00", Some(State::Inactive)),
            (Rule::Expires(Unit::FileTime), "2099-01-01", None),
            (Rule::AccountControl, "0x202", Some(State::Inactive)),
            (Rule::AccountControl, "0x200", Some(State::Active)),
            (Rule::Deleted, "0000-00-00 00:00:00", None),
            (Rule::Deleted, "2020-01-01 00:00:00", Some(State::Deleted)),
        ] {
            assert_eq!(state(rule, text), Ok(wanted), "{rule:?} {text}");
        }
        assert!(state(Rule::Disabled, "perhaps").is_err());
        assert!(state(Rule::AccountControl, "NORMAL").is_err());
        for text in ["2020", "20200101", "soon", "20201301000000Z"] {
            assert!(state(Rule::Expires(Unit::Generalized), text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_of_other_languages_are_known() {
        for (word, wanted) in [
            ("Aktiv", Some(State::Active)),
            ("Gesperrt", Some(State::Inactive)),
            ("désactivé", Some(State::Inactive)),
            ("LOCKED_OUT", Some(State::Suspended)),
            ("gelöscht", Some(State::Deleted)),
            ("Baja", Some(State::Inactive)),
            ("WA", None),
            ("Bayern", None),
        ] {
            assert_eq!(State::of_word(word), wanted, "{word}");
        }
    }
}
