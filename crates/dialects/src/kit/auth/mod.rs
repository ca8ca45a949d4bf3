//! Authentication of clients (keys, access tokens, assertions), and the keys that Muster signs and encrypts with.

mod authentication;
mod authenticator;
pub(crate) mod jwt;
mod token_keys;

pub use authentication::{ApiCredential, challenge, hash_key};
pub(crate) use authentication::{AuthenticatedClient, bearer, bearer_scheme};
pub(crate) use authenticator::Denial;
pub use authenticator::{Authenticator, RateLimiter};
pub use jwt::check_public_key;
pub(crate) use token_keys::DerivedKeys;
pub use token_keys::TokenKeys;
