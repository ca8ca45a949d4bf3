//! Generates API keys for connections.

use anyhow::Context;

/// Returns 128 random bits as 32 hex digits: the format that clients of the original APIs expect, and a valid
/// bearer token.
pub fn generate_api_key() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("cannot generate an API key: the system's random source failed")?;
    Ok(uuid::Uuid::from_bytes(bytes).simple().to_string())
}
