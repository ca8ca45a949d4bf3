//! Generates API keys for connections.

use anyhow::anyhow;

/// Returns 128 random bits as 32 hex digits: the format that clients of the original APIs expect, and a valid
/// bearer token.
pub fn generate_api_key() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    let failed = "cannot generate an API key: the system's random source failed";
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("{failed}: {error}"))?;
    Ok(uuid::Uuid::from_bytes(bytes).simple().to_string())
}
