//! The allocator of every program that links this crate. With the system allocator, threads that freed each other's
//! memory spent a fifth of their time on contention (`docs/performance.md`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tells the system not to back the memory of this process with huge pages, which the allocator asks for. They stay
/// resident when a small part of them is used: an idle server had 29 MiB instead of 17, and no request was faster
/// (`docs/performance.md`). To be called before other threads are started.
pub fn disable_huge_pages() {
    // A system without them rejects it.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
