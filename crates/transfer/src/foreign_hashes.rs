//! Passwords in the storage formats of other systems.

use directory::PasswordHash;

/// A password hash, optionally after an LDAP scheme in braces. `None` for hashes that cannot be verified here,
/// such as plain digests (`{SSHA}`, `{MD5}`) and other kinds (`$6$`, `$P$`).
pub(crate) fn parse_hash(text: &str) -> Option<PasswordHash> {
    let scheme = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let bare = scheme.map_or(text, |(_, bare)| bare);
    if let Some(hash) = scheme.and_then(|(scheme, bare)| pbkdf2_phc(scheme, bare)) {
        return Some(PasswordHash(hash.into()));
    }
    let supported_prefixes = ["$argon2", "$2a$", "$2b$", "$2y$", "$pbkdf2", "$scrypt$"];
    let is_supported = supported_prefixes.iter().any(|kind| bare.starts_with(kind));
    // A text without a prefix is rejected with a reason when it is stored.
    let is_unknown = scheme.is_none() && !text.starts_with(['$', '*', '!']);
    (is_supported || is_unknown).then(|| PasswordHash(bare.to_owned().into()))
}

/// Converts `OpenLDAP`'s PBKDF2 (`{PBKDF2-SHA256}10000$salt$hash`) to a PHC string. Its Base64 uses `.` for `+`.
fn pbkdf2_phc(scheme: &str, bare: &str) -> Option<String> {
    let name = match scheme.to_ascii_uppercase().as_str() {
        "PBKDF2-SHA256" => "pbkdf2-sha256",
        "PBKDF2-SHA512" => "pbkdf2-sha512",
        _ => return None,
    };
    let mut parts = bare.split('$');
    let (rounds, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let is_complete = parts.next().is_none() && rounds.parse::<u32>().is_ok();
    is_complete.then(|| format!("${name}$i={rounds}${}${}", salt.replace('.', "+"), hash.replace('.', "+")))
}

/// The clear text of LDAP's `userPassword` (RFC 4519); `None` for hashes and locked passwords (`*`, `!`).
pub(crate) fn cleartext(text: &str) -> Option<&str> {
    match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((scheme, clear)) => {
            ["cleartext", "clear"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(clear)
        }
        None => (!text.starts_with(['$', '*', '!'])).then_some(text),
    }
}

/// Whether a text is a password hash after the name of its LDAP scheme.
pub(crate) fn is_ldap_hash(text: &str) -> bool {
    let scheme = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    scheme.is_some_and(|(scheme, _)| {
        let scheme = scheme.to_ascii_uppercase();
        ["SSHA", "SHA", "SMD5", "MD5", "CRYPT", "PBKDF2", "ARGON2", "BCRYPT", "SASL"]
            .iter()
            .any(|known| scheme.starts_with(known))
    })
}
