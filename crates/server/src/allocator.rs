//! The allocator of every program made of this crate: with the system's, two threads that free what the other took
//! spent a fifth of their time on each other (`docs/performance.md`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
