//! `muster mail`: mails that wait, and those that have failed.

use crate::admin::{Desk, moment, refused};
use crate::output::Output;
use crate::settings::Settings;
use anyhow::bail;
use clap::Subcommand;
use directory::{DeliveryOutcome, Mail, User, UserKey};
use serde_json::{Value, json};

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum MailTask {
    /// List mails that wait or have failed
    List {
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
    },
    /// Try mails again now: those that have failed, and those that wait for their next attempt
    Retry {
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
    },
}

/// So many are shown or tried again at a time.
const MANY: u32 = 10_000;

pub(crate) fn run(settings: &Settings, task: MailTask, output: Output) -> anyhow::Result<()> {
    let desk = Desk::open_for(settings, matches!(task, MailTask::List { .. }))?;
    match task {
        MailTask::List { tenant } => {
            let caller = desk.tenant(tenant)?;
            let mails =
                desk.runtime.block_on(desk.directory.mails(caller.tenant, None, MANY)).map_err(refused)?;
            let (mut documents, mut rows) = (Vec::new(), Vec::new());
            for mail in &mails {
                let user = desk.runtime.block_on(desk.directory.user(&caller, UserKey::Id(mail.user))).ok();
                let name = |user: &User| user.email().unwrap_or(&user.user_name).to_owned();
                let to = user.as_ref().map_or_else(|| mail.user.to_string(), name);
                documents.push(describe(mail, &to));
                rows.push(vec![
                    to,
                    mail.purpose.as_str().into(),
                    moment(mail.queued),
                    mail.attempts.to_string(),
                    state(mail),
                ]);
            }
            if mails.len() == MANY as usize {
                output.line(&format!("The oldest {MANY} of them:\n"));
            }
            let headings = ["to", "kind", "since", "attempts", "state"];
            output.rows(&documents.into(), &headings, rows, "No mail waits, and none has failed.");
        }
        MailTask::Retry { tenant } => {
            let caller = desk.tenant(tenant)?;
            let mails =
                desk.runtime.block_on(desk.directory.mails(caller.tenant, None, MANY)).map_err(refused)?;
            let now = desk.directory.now();
            let mut again = 0;
            // What a server has in hand just now is not to be sent twice.
            for mail in mails.iter().filter(|mail| !mail.is_claimed && mail.due.is_none_or(|due| due > now)) {
                let outcome = mail.outcome.clone().map(|outcome| match outcome {
                    DeliveryOutcome::Failed(cause) => DeliveryOutcome::Delayed(cause),
                    outcome => outcome,
                });
                let moved = desk.directory.update_mail(mail, Some(now), outcome, false);
                again += usize::from(desk.runtime.block_on(moved).map_err(refused)?.is_some());
            }
            if mails.is_empty() {
                bail!("no mail waits, and none has failed");
            }
            output.result(&json!({ "again": again }), || {
                format!("{again} mails are tried again as soon as a server runs on this store.")
            });
        }
    }
    Ok(())
}

/// Where a mail stands, in words.
pub(crate) fn state(mail: &Mail) -> String {
    match (&mail.outcome, mail.due) {
        (Some(DeliveryOutcome::Failed(cause)), _) => format!("failed: {cause}"),
        _ if mail.is_claimed => "is being sent".into(),
        (Some(DeliveryOutcome::Delayed(cause)), Some(due)) => format!("again at {}: {cause}", moment(due)),
        _ => "waits".into(),
    }
}

/// A mail as a document.
pub(crate) fn describe(mail: &Mail, to: &str) -> Value {
    let cause = match &mail.outcome {
        Some(DeliveryOutcome::Failed(cause) | DeliveryOutcome::Delayed(cause)) => Some(cause),
        _ => None,
    };
    json!({
        "id": mail.id.to_string(),
        "to": to,
        "kind": mail.purpose.as_str(),
        "since": moment(mail.queued),
        "due": mail.due.map(moment),
        "attempts": mail.attempts,
        "failed": mail.has_failed(),
        "cause": cause,
    })
}
