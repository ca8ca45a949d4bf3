//! The options that say which users a target gets, and what happens to the accounts of others.

use anyhow::bail;
use clap::{Args, ValueEnum};
use dialects::kit::TargetClient;
use directory::{DeprovisionPolicy, Target};

#[derive(Args)]
pub(super) struct ScopeArgs {
    /// Which users the target gets, as a SCIM filter such as `userType eq "Employee"` (a new target: all)
    #[arg(long, value_name = "FILTER")]
    scope_filter: Option<String>,
    /// What happens to the accounts of suspended, inactive and archived users (a new target: deactivate)
    #[arg(long, value_enum)]
    on_deactivate: Option<Policy>,
    /// What happens to the accounts of users who are not in the scope any more (a new target: deactivate)
    #[arg(long, value_enum)]
    out_of_scope: Option<Policy>,
    /// What happens to the accounts of deleted users; those that are deactivated are deleted when the user is permanently
    /// deleted, after 30 days (a new target: deactivate)
    #[arg(long, value_enum)]
    on_delete: Option<Policy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    Deactivate,
    Delete,
    /// It stays as it is
    Leave,
}

impl From<Policy> for DeprovisionPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Deactivate => Self::Deactivate,
            Policy::Delete => Self::Delete,
            Policy::Leave => Self::Leave,
        }
    }
}

impl ScopeArgs {
    /// Takes over what was set.
    pub(super) fn apply(self, target: &mut Target) {
        if self.scope_filter.is_some() {
            target.scope = self.scope_filter;
        }
        let policies = &mut target.deprovisioning;
        for (policy, new) in [
            (&mut policies.on_deactivate, self.on_deactivate),
            (&mut policies.out_of_scope, self.out_of_scope),
            (&mut policies.on_delete, self.on_delete),
        ] {
            *policy = new.map_or(*policy, DeprovisionPolicy::from);
        }
    }
}

/// Whether the API of the target can do it.
pub(super) fn check(target: &Target) -> anyhow::Result<()> {
    let deletes_accounts = dialects::target_client(&target.dialect).is_some_and(TargetClient::deletes_accounts);
    let policies = target.deprovisioning;
    for (policy, option) in [
        (policies.on_deactivate, "--on-deactivate"),
        (policies.out_of_scope, "--out-of-scope"),
        (policies.on_delete, "--on-delete"),
    ] {
        if policy == DeprovisionPolicy::Delete && !deletes_accounts {
            bail!("{} cannot delete accounts ({option})", target.dialect);
        }
    }
    if let Some(scope) = &target.scope
        && let Err(error) = dialects::UserFilter::parse(scope)
    {
        bail!("the scope is not valid: {error} (--scope-filter)");
    }
    Ok(())
}
