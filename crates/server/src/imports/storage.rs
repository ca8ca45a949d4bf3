//! The directory of import files: ids, the quota per tenant, and disk space that imports must leave free.

use anyhow::{Context, ensure};
use std::path::Path;
use uuid::Uuid;

#[derive(Clone, Copy, Debug)]
pub struct StorageLimits {
    /// Bytes of a tenant's uploaded files and files of rejected rows.
    pub tenant_quota: u64,
    /// Bytes of the disk that must stay free, or 5 % of its size if that is more. Zero turns the check off.
    pub min_free: u64,
}

impl Default for StorageLimits {
    fn default() -> Self {
        Self { tenant_quota: 8 << 30, min_free: 1 << 30 }
    }
}

/// Bytes of an upload between two checks of the disk.
pub(super) const CHECK_INTERVAL: u64 = 16 << 20;

/// Checks the free disk space. The error is for the log.
pub(super) fn check_disk(folder: &Path, limits: StorageLimits) -> anyhow::Result<()> {
    if limits.min_free == 0 {
        return Ok(());
    }
    let disk = rustix::fs::statvfs(folder).context("cannot read the free disk space")?;
    let (free, total) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    let min_free = limits.min_free.max(total / 20);
    ensure!(free >= min_free, "{} MiB of {} MiB are free", free >> 20, total >> 20);
    Ok(())
}

pub(super) fn new_id() -> anyhow::Result<Uuid> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

pub(super) fn create_dir(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
