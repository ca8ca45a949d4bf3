//! What tests share: ports that can be foretold, commands made by chance, and the suite every engine must pass.

pub mod chance;
pub mod conformance;
pub mod fakes;
