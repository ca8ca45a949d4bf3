//! Verifies stored passwords, including hashes imported from other systems: Argon2, bcrypt, PBKDF2 and scrypt.
//!
//! The cost parameters of a hash are checked before any work is done: a forged hash could demand gigabytes.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::pbkdf2;
use std::num::NonZeroU32;

/// Highest bcrypt cost that is verified; takes a few seconds.
const MAX_BCRYPT_COST: u32 = 14;
const MAX_PBKDF2_ITERATIONS: u32 = 5_000_000;
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Argon2 memory times passes, in KiB.
const MAX_ARGON2_WORK_KIB: u64 = 1024 * 1024;

pub(crate) enum ParsedHash {
    Argon2(Box<Argon2<'static>>, PasswordHash),
    Bcrypt(String),
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: NonZeroU32, hash: PasswordHash },
    Scrypt(PasswordHash),
}

/// What determines whether a stored hash is strong enough.
pub(crate) enum HashScheme {
    Argon2id { memory_kib: u32, passes: u32 },
    Other,
}

impl ParsedHash {
    /// Parses PHC strings of Argon2, PBKDF2 and scrypt, and bcrypt hashes. Returns `None` for other formats and for
    /// hashes above the limits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with("$2") {
            return parse_bcrypt(text);
        }
        let hash = PasswordHash::new(text).ok()?;
        // Both are optional in a PHC string.
        hash.salt.as_ref().zip(hash.hash.as_ref())?;
        match hash.algorithm.as_str() {
            "pbkdf2-sha256" => parse_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, hash),
            "pbkdf2-sha512" => parse_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA512, hash),
            "scrypt" => parse_scrypt(hash),
            _ => parse_argon2(hash),
        }
    }

    /// Whether the password matches. Uses `memory` if it is large enough.
    pub(crate) fn matches(&self, password: &[u8], memory: &mut [Block]) -> bool {
        match self {
            Self::Argon2(argon2, hash) => {
                let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return false };
                let needed = argon2.params().block_count();
                let mut buffer = Vec::new();
                let memory = if let Some(memory) = memory.get_mut(..needed) {
                    memory
                } else {
                    buffer.resize(needed, Block::default());
                    &mut buffer[..]
                };
                let mut output = [0_u8; Output::MAX_LENGTH];
                let output = &mut output[..expected.len()];
                let done = argon2.hash_password_into_with_memory(password, salt.as_ref(), output, memory);
                // `Output` compares in constant time.
                done.is_ok() && Output::new(output).is_ok_and(|output| output == *expected)
            }
            Self::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Self::Pbkdf2 { algorithm, iterations: rounds, hash } => {
                let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return false };
                pbkdf2::verify(*algorithm, *rounds, salt.as_ref(), password, expected.as_bytes()).is_ok()
            }
            Self::Scrypt(hash) => scrypt::Scrypt::new().verify_password(password, hash).is_ok(),
        }
    }

    pub(crate) fn scheme(&self) -> HashScheme {
        match self {
            Self::Argon2(argon2, hash) if hash.algorithm == Algorithm::Argon2id.ident() => {
                HashScheme::Argon2id { memory_kib: argon2.params().m_cost(), passes: argon2.params().t_cost() }
            }
            _ => HashScheme::Other,
        }
    }
}

fn parse_bcrypt(text: &str) -> Option<ParsedHash> {
    let parts: bcrypt::HashParts = text.parse().ok()?;
    // `$2x$` marks hashes of a buggy implementation, which differ from those of all others.
    let is_supported = !text.starts_with("$2x$") && (4..=MAX_BCRYPT_COST).contains(&parts.get_cost());
    is_supported.then(|| ParsedHash::Bcrypt(text.to_owned()))
}

fn parse_pbkdf2(algorithm: pbkdf2::Algorithm, hash: PasswordHash) -> Option<ParsedHash> {
    let iterations = hash.params.get_decimal("i").filter(|iterations| *iterations <= MAX_PBKDF2_ITERATIONS)?;
    Some(ParsedHash::Pbkdf2 { algorithm, iterations: NonZeroU32::new(iterations)?, hash })
}

fn parse_scrypt(hash: PasswordHash) -> Option<ParsedHash> {
    let get = |name: &'static str| hash.params.get_decimal(name);
    let (log_n, r, p) = (get("ln")?, get("r")?, get("p")?);
    let is_within_limits = (1..=20).contains(&log_n) && (1..=32).contains(&r) && (1..=16).contains(&p);
    if !is_within_limits || ((128_u64 << log_n) * u64::from(r)) >> 10 > u64::from(MAX_MEMORY_KIB) {
        return None;
    }
    scrypt::Params::try_from(&hash).ok()?;
    Some(ParsedHash::Scrypt(hash))
}

fn parse_argon2(hash: PasswordHash) -> Option<ParsedHash> {
    let algorithm = Algorithm::new(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    let is_within_limits = params.m_cost() <= MAX_MEMORY_KIB && params.p_cost() <= 16 && work <= MAX_ARGON2_WORK_KIB;
    is_within_limits.then(|| ParsedHash::Argon2(Box::new(Argon2::new(algorithm, version, params)), hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generated with Python's bcrypt, hashlib, passlib and argon2-cffi.
    const FOREIGN_HASHES: &[&str] = include!("../tests/data/foreign_hashes.rs.in");

    #[test]
    fn foreign_hashes_verify_only_their_password() {
        for text in FOREIGN_HASHES {
            let stored = ParsedHash::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!(stored.matches("pässword 1".as_bytes(), &mut []), "{text}");
            assert!(!stored.matches("pässword 2".as_bytes(), &mut []), "{text}");
        }
    }

    #[test]
    fn unsupported_and_expensive_hashes_are_rejected() {
        for text in [
            "$2b$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDEF012345678",
            "$pbkdf2-sha256$i=4000000000,l=32$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$scrypt$ln=14,r=65536,p=65536$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=65536,t=4000000,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$1$abc$def",
            "secret",
            "",
        ] {
            assert!(ParsedHash::parse(text).is_none(), "{text}");
        }
    }
}
