//! `muster target test`

use super::issues::wake;
use super::{TargetRef, find_target, put, rules_of, show};
use crate::output::Output;
use crate::secrets::master_keys;
use crate::session::AdminSession;
use crate::settings::Settings;
use anyhow::{Context, bail};
use clap::Args;
use directory::{PushFault, SealedSecret, SecretUse, Target};
use serde_json::json;
use std::sync::Arc;

#[derive(Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    target: TargetRef,
    /// Write nothing to the target; what needs writing is assumed
    #[arg(long)]
    read_only: bool,
}

pub(super) fn run(settings: &Settings, session: &AdminSession, args: &TestArgs, output: Output) -> anyhow::Result<()> {
    let (caller, target) = find_target(session, &args.target)?;
    let query = SealedSecret::of_owner(target.tenant, target.secret_owner());
    let secrets: Vec<SealedSecret> = session.wait(session.directory.target_records(&caller, query))?;
    let current = secrets
        .iter()
        .find(|secret| secret.use_ == SecretUse::Current)
        .context("the target has no credential (set one with `muster target key`)")?;
    let secret = master_keys(settings)?.open(current)?;
    let sender = gateway::Sender::new(Arc::new(target.clone()), secret, gateway::SendWindow::open())?;
    let now = session.directory.now();
    let probe = session.runtime.block_on(gateway::probe(&sender, args.read_only, now));
    if let Some(problem) = &probe.problem {
        let lines = probe.capabilities.evidence.join("\n  ");
        bail!("target {} cannot be used: {problem}\n  {lines}", target.name);
    }
    let capabilities = probe.capabilities;
    // The evidence has numbers that change, such as that of accounts.
    let is_same = target.capabilities.as_ref().is_some_and(|old| {
        let (tested, evidence) = (old.tested, old.evidence.clone());
        directory::TargetCapabilities { tested, evidence, ..capabilities.clone() } == *old
    });
    let after = Target { capabilities: Some(capabilities.clone()), ..target.clone() };
    rules_of(&after).context("the result of the test was not stored")?;
    put(session, &caller, target.clone(), after, Vec::new())?;
    if !is_same {
        // What failed may be possible now.
        for fault in [PushFault::Unsupported, PushFault::InDoubt, PushFault::Rejected, PushFault::Incomplete] {
            wake(session, &caller, &target, fault)?;
        }
    }
    let document = json!({"name": target.name, "capabilities": show::capabilities_json(&capabilities)});
    output.result(&document, || {
        let lines = capabilities.evidence.join("\n  ");
        format!("Target {} works.\n  {lines}\n\n{}", target.name, show::capabilities_text(&capabilities))
    });
    Ok(())
}
