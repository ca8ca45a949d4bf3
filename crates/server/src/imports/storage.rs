//! Storage limits of import files: a quota per tenant, and free disk space that imports leave alone.

use std::path::Path;

/// How much storage import files may use.
#[derive(Clone, Copy, Debug)]
pub struct StorageLimits {
    /// Bytes of a tenant's files, uploaded ones and those of rejected rows.
    pub per_tenant: u64,
    /// Bytes of the disk that must stay free; at least 5 % of its size. Zero turns the check off.
    pub least_free: u64,
}

impl Default for StorageLimits {
    fn default() -> Self {
        Self { per_tenant: 8 << 30, least_free: 1 << 30 }
    }
}

/// Bytes of an upload between two checks of the free disk space.
pub(super) const CHECK_EVERY: u64 = 16 << 20;

/// Checks the free disk space; the error says how much there is, for the log.
pub(super) fn check_disk(folder: &Path, limits: StorageLimits) -> Result<(), String> {
    if limits.least_free == 0 {
        return Ok(());
    }
    let disk =
        rustix::fs::statvfs(folder).map_err(|error| format!("cannot read the free disk space: {error}"))?;
    let (free, all) =
        (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    let least = limits.least_free.max(all / 20);
    if free < least {
        Err(format!("the disk has {} MiB left of {} MiB", free >> 20, all >> 20))
    } else {
        Ok(())
    }
}
