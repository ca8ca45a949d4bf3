//! Hashes and verifies passwords with Argon2id.

use crate::foreign_hashes::{HashScheme, ParsedHash};
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as PhcHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use directory::{ExposeSecret, PasswordHash, PasswordVerification, SecretString, normalize_password};

/// Cost parameters of Argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    pub memory_kib: u32,
    /// Number of passes over the memory.
    pub passes: u32,
}

impl Argon2Cost {
    /// OWASP's recommendation for Argon2id: 19 MiB, two passes.
    pub const STANDARD: Self = Self { memory_kib: 19_456, passes: 2 };
    /// For tests only: offers no protection.
    pub const FOR_TESTS: Self = Self { memory_kib: 8, passes: 1 };
}

/// Compares a password with a stored hash: normalized, and also as sent, for hashes from before passwords were
/// normalized.
pub(crate) fn verify(
    argon2: &Argon2<'_>,
    memory: &mut [Block],
    password: &str,
    stored: Option<&PasswordHash>,
) -> PasswordVerification {
    let normalized = normalize_password(password);
    let as_sent = (*normalized != *password).then_some(password);
    let stored = stored.and_then(|stored| ParsedHash::parse(stored.0.expose_secret()));
    let Some(stored) = stored else {
        // Takes as long as for an existing user.
        for text in [Some(&*normalized), as_sent].into_iter().flatten() {
            drop(hash_bytes(argon2, memory, text.as_bytes()));
        }
        return PasswordVerification::Failed;
    };
    let is_normalized = stored.matches(normalized.as_bytes(), memory);
    // Always computed, so that the time does not reveal which one matched.
    let is_as_sent = as_sent.is_some_and(|text| stored.matches(text.as_bytes(), memory));
    if !is_normalized {
        return if is_as_sent { PasswordVerification::SuccessRehashNeeded } else { PasswordVerification::Failed };
    }
    let required = argon2.params();
    match stored.scheme() {
        HashScheme::Argon2id { memory_kib, passes }
            if memory_kib >= required.m_cost() && passes >= required.t_cost() =>
        {
            PasswordVerification::Success
        }
        HashScheme::Argon2id { .. } | HashScheme::Other => PasswordVerification::SuccessRehashNeeded,
    }
}

/// Hashes a password after normalizing it.
pub(crate) fn hash(argon2: &Argon2<'_>, memory: &mut [Block], password: &str) -> Option<PasswordHash> {
    hash_bytes(argon2, memory, normalize_password(password).as_bytes())
}

fn hash_bytes(argon2: &Argon2<'_>, memory: &mut [Block], bytes: &[u8]) -> Option<PasswordHash> {
    let salt = Salt::generate();
    let mut output = [0_u8; Params::DEFAULT_OUTPUT_LEN];
    argon2.hash_password_into_with_memory(bytes, salt.as_ref(), &mut output, &mut *memory).ok()?;
    let phc = PhcHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).ok()?,
        salt: Some(salt),
        hash: Some(Output::new(&output).ok()?),
    };
    Some(PasswordHash(SecretString::from(phc.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a stored hash, as much memory is filled as for a wrong password. The sign-in benchmark measures the
    /// time.
    #[test]
    fn unknown_users_cost_a_full_hash() {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 2, 1, None).unwrap());
        let blocks = argon2.params().block_count();
        let stored = hash(&argon2, &mut vec![Block::default(); blocks], "secret-1").unwrap();
        for stored in [None, Some(stored)] {
            let mut memory = vec![Block::default(); blocks];
            assert_eq!(verify(&argon2, &mut memory, "secret-2", stored.as_ref()), PasswordVerification::Failed);
            let is_filled = |block: &Block| block.as_ref().iter().any(|word| *word != 0);
            assert!(memory.iter().all(is_filled), "{}", stored.is_some());
        }
    }

    #[test]
    fn equivalent_unicode_passwords_verify() {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let mut memory = vec![Block::default(); argon2.params().block_count()];
        let (composed, apart) = ("\u{e9}t\u{e9} am see", "e\u{301}te\u{301}\u{a0}am see");
        for (stored, typed) in [(composed, apart), (apart, composed), (apart, apart)] {
            let stored = hash(&argon2, &mut memory, stored).unwrap();
            assert_eq!(verify(&argon2, &mut memory, typed, Some(&stored)), PasswordVerification::Success, "{typed:?}");
        }
        // Stored without normalization by an earlier version: only the same spelling matches, and it is rehashed.
        let before = hash_bytes(&argon2, &mut memory, apart.as_bytes()).unwrap();
        assert_eq!(verify(&argon2, &mut memory, apart, Some(&before)), PasswordVerification::SuccessRehashNeeded);
        assert_eq!(verify(&argon2, &mut memory, composed, Some(&before)), PasswordVerification::Failed);
    }
}
