//! The provisioning gateway: keeps the users of targets, which are other systems, up to date in their own APIs.
//!
//! For each target and user there is one row ([`directory::RemoteUser`]), which says what the target has and is to have.
//! A follower marks the rows of changed users; workers push what is marked.

mod account_rules;
mod attempt_limit;
mod clock_check;
mod credential;
mod digest;
mod follower;
mod gateway;
mod health;
mod held_lease;
mod mapping;
mod master_key;
mod metrics;
mod probe;
mod push;
mod results;
mod rotation;
mod sender;
mod shared;
mod signals;
mod source_user;
mod tenant_task;
mod worker;

pub use account_rules::{AccountRules, Desired, DocumentError, RulesError};
pub use credential::{CredentialError, check_credential};
pub use follower::shard_of;
pub use gateway::Gateway;
pub use mapping::{MappingError, mapping_variables};
pub use master_key::{MasterKeyError, MasterKeySource, MasterKeys, OpenError};
pub use metrics::{GatewayMetrics, TargetMetrics};
pub use outbound::{AllowedTarget, SendWindow};
pub use probe::{Probe, probe};
pub use sender::{Exchange, Outcome, Sender, SenderError, parse_certificates};
pub(crate) use shared::Shared;
pub use source_user::{SourceUser, load_source_users};
