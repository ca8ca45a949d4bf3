//! The allocator of every program that links this crate. With the system allocator, threads that freed each other's
//! memory spent a fifth of their time on contention (`docs/performance.md`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
