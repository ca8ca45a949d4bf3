//! What tests share: ports that can be foretold, commands made by chance, the suite every engine must pass, and real
//! database servers with a proxy that meddles with them.

pub mod chance;
pub mod conformance;
pub mod fakes;
pub mod postgres;
pub mod proxy;
