//! The options that say which users a target gets, and what happens to the accounts of others.

use super::rules_of;
use crate::session::AdminSession;
use anyhow::bail;
use clap::{Args, ValueEnum};
use dialects::kit::TargetClient;
use directory::{Caller, DeprovisionPolicy, PageBoundary, PasswordPolicy, SortPosition, Target, UserId, UserQuery};
use gateway::{Desired, SourceUser};

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
    /// Which passwords new accounts get: none, or a random one that nobody knows, for targets that require a password (a
    /// new target: none)
    #[arg(long, value_enum)]
    passwords: Option<Passwords>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Passwords {
    None,
    RandomOnce,
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
        target.passwords = match self.passwords {
            Some(Passwords::None) => PasswordPolicy::None,
            Some(Passwords::RandomOnce) => PasswordPolicy::RandomOnce,
            None => target.passwords,
        };
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

/// Users that are read at a time.
const BATCH: u32 = 250;
/// Users whose accounts a change may take without `--force`, if they are not more than a tenth.
const FEW: usize = 10;

/// Whether a change of the scope or the policies takes the accounts of many users, such as after a typing error.
pub(super) fn check_loss(
    session: &AdminSession,
    caller: &Caller,
    before: &Target,
    after: &Target,
) -> anyhow::Result<()> {
    if (&before.scope, before.deprovisioning) == (&after.scope, after.deprovisioning) {
        return Ok(());
    }
    let (old, new) = (rules_of(before)?.1, rules_of(after)?.1);
    let (mut total, mut lost, mut last) = (0, 0, 0);
    loop {
        let boundary = Some(PageBoundary::After(SortPosition { number: last, ..SortPosition::default() }));
        let query = UserQuery { boundary, limit: BATCH, ..UserQuery::default() };
        let users = session.wait(session.directory.find_users(caller, query))?.rows;
        let Some(user) = users.last() else { break };
        last = user.number;
        let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
        let target = (after.number, old.uses_groups() || new.uses_groups());
        let sources = session.wait(gateway::load_source_users(&session.directory, caller, target, &ids))?;
        total += sources.len();
        let is_lost = |source: &&SourceUser| match (old.desired(source), new.desired(source)) {
            (Desired::Account { is_active: true, .. }, Desired::Account { is_active, .. }) => !is_active,
            (Desired::Nothing, _) | (_, Desired::Account { .. } | Desired::Unchanged) => false,
            (Desired::Account { .. } | Desired::Unchanged, Desired::Nothing) => true,
        };
        lost += sources.values().filter(is_lost).count();
    }
    if lost > FEW && lost > total / 10 {
        bail!("the accounts of {lost} of {total} users would be deactivated or deleted (use --force to apply it)");
    }
    Ok(())
}

/// Whether the API of the target can do it.
pub(super) fn check(target: &Target) -> anyhow::Result<()> {
    let client = dialects::target_client(&target.dialect);
    let deletes_accounts = client.is_some_and(TargetClient::deletes_accounts);
    let has_passwords = client.and_then(TargetClient::password_attribute).is_some();
    if target.passwords == PasswordPolicy::RandomOnce && !has_passwords {
        bail!("{} has no passwords (--passwords)", target.dialect);
    }
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
