//! The engines: the suite they share, changes made by chance, and what each of them must
//! withstand.

mod archive;
mod check_violations;
mod concurrent_memberships;
mod conformance;
mod embedded_engine;
mod engine_equivalence;
mod every_engine;
mod server_engine;
mod test_stores;
