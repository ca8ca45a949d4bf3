//! Tests of the engines: the shared conformance suite, random changes, and faults that each engine must withstand.

mod archive;
mod check_violations;
mod concurrent_memberships;
mod conformance;
mod declared_schema;
mod embedded_engine;
mod engine_equivalence;
mod every_engine;
mod server_engine;
mod sql_portability;
mod test_stores;
