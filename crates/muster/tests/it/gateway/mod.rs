//! The provisioning gateway, with simulators in processes of their own: what is pushed, in which order, and what happens
//! when answers are lost, processes are killed or paused, and targets misbehave.

mod ccs_targets;
mod changes;
mod clocks;
mod credentials;
mod deprovisioning;
mod faults;
mod hostile;
mod issues;
mod kills;
mod mapping;
mod passwords;
mod raw_target;
mod real_targets;
mod record;
mod secrets;
mod simulators;
mod support;

pub(crate) use record::{Clients, check, users};
pub(crate) use support::{Simulator, wait_for, wait_until_linked};
