//! What tests share: ports that can be foretold, commands made by chance, the suite every engine must pass, real
//! database servers with a proxy that meddles with them, and a mail server that fails on demand.

pub mod arrivals;
pub mod chance;
pub mod conflicts;
pub mod conformance;
pub mod corpus;
pub mod fakes;
pub mod lives;
pub mod memberships;
pub mod postgres;
pub mod proxy;
pub mod same;
pub mod seeds;
pub mod smtp;
pub mod waiting;
