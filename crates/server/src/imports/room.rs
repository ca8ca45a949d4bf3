//! Room for files: so much for each tenant, and so much of the disk that is left to others.

use std::path::Path;

/// The bounds of what imports may take.
#[derive(Clone, Copy, Debug)]
pub struct RoomLimits {
    /// Bytes of a tenant's files: those that were sent and those of rejected rows.
    pub per_tenant: u64,
    /// Bytes of the disk that stay free. A twentieth of it stays free in any case.
    pub least_free: u64,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self { per_tenant: 8 << 30, least_free: 1 << 30 }
    }
}

/// How much of a file is taken in before the disk is looked at again, in bytes.
pub(super) const LOOK_EVERY: u64 = 16 << 20;

/// Whether a disk has room for more; if not, why.
pub(super) fn check_disk(folder: &Path, limits: RoomLimits) -> Result<(), String> {
    let disk =
        rustix::fs::statvfs(folder).map_err(|error| format!("the disk cannot be looked at: {error}"))?;
    let (free, all) =
        (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    let least = limits.least_free.max(all / 20);
    if free < least {
        Err(format!("the disk has {} MiB left of {} MiB", free >> 20, all >> 20))
    } else {
        Ok(())
    }
}
