//! New keys for connections.

use anyhow::Context;

/// A key of 128 random bits as 32 hex digits: as clients of old expect one, and a good bearer token.
pub fn generate_api_key() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("no randomness to make a key of")?;
    Ok(uuid::Uuid::from_bytes(bytes).simple().to_string())
}
