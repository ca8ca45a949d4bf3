//! `muster mail`: mails that wait, and those that have failed.

use crate::output::Output;
use crate::session::{AdminSession, directory_error, format_timestamp};
use crate::settings::Settings;
use anyhow::bail;
use clap::Subcommand;
use directory::{DeliveryOutcome, Mail, User, UserKey};
use serde_json::{Value, json};

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum MailCommand {
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
const MAX_MAILS: u32 = 10_000;

pub(crate) fn run(settings: &Settings, command: MailCommand, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open_for(settings, matches!(command, MailCommand::List { .. }))?;
    match command {
        MailCommand::List { tenant } => {
            let caller = session.resolve_tenant(tenant)?;
            let mails = session
                .runtime
                .block_on(session.directory.mails(caller.tenant, None, MAX_MAILS))
                .map_err(directory_error)?;
            let (mut documents, mut rows) = (Vec::new(), Vec::new());
            for mail in &mails {
                let user = session.runtime.block_on(session.directory.user(&caller, UserKey::Id(mail.user))).ok();
                let name = |user: &User| user.email().unwrap_or(&user.user_name).to_owned();
                let to = user.as_ref().map_or_else(|| mail.user.to_string(), name);
                documents.push(mail_json(mail, &to));
                rows.push(vec![
                    to,
                    mail.purpose.as_str().into(),
                    format_timestamp(mail.queued),
                    mail.attempts.to_string(),
                    state_text(mail),
                ]);
            }
            if mails.len() == MAX_MAILS as usize {
                output.line(&format!("The oldest {MAX_MAILS} of them:\n"));
            }
            let headings = ["to", "kind", "since", "attempts", "state"];
            output.rows(&documents.into(), &headings, rows, "No mail waits, and none has failed.");
        }
        MailCommand::Retry { tenant } => {
            let caller = session.resolve_tenant(tenant)?;
            let mails = session
                .runtime
                .block_on(session.directory.mails(caller.tenant, None, MAX_MAILS))
                .map_err(directory_error)?;
            let now = session.directory.now();
            let mut retried = 0;
            // What a server has in hand just now is not to be sent twice.
            for mail in mails.iter().filter(|mail| !mail.is_claimed && mail.due.is_none_or(|due| due > now)) {
                let outcome = mail.outcome.clone().map(|outcome| match outcome {
                    DeliveryOutcome::Failed(cause) => DeliveryOutcome::Delayed(cause),
                    outcome => outcome,
                });
                let update = session.directory.update_mail(mail, Some(now), outcome, false);
                retried += usize::from(session.runtime.block_on(update).map_err(directory_error)?.is_some());
            }
            if mails.is_empty() {
                bail!("no mail waits, and none has failed");
            }
            output.result(&json!({ "again": retried }), || {
                format!("{retried} mails are tried again as soon as a server runs on this store.")
            });
        }
    }
    Ok(())
}

/// Where a mail stands, in words.
pub(crate) fn state_text(mail: &Mail) -> String {
    match (&mail.outcome, mail.due) {
        (Some(DeliveryOutcome::Failed(cause)), _) => format!("failed: {cause}"),
        _ if mail.is_claimed => "is being sent".into(),
        (Some(DeliveryOutcome::Delayed(cause)), Some(due)) => {
            format!("again at {}: {cause}", format_timestamp(due))
        }
        _ => "waits".into(),
    }
}

/// A mail as a document.
pub(crate) fn mail_json(mail: &Mail, to: &str) -> Value {
    let cause = match &mail.outcome {
        Some(DeliveryOutcome::Failed(cause) | DeliveryOutcome::Delayed(cause)) => Some(cause),
        _ => None,
    };
    json!({
        "id": mail.id.to_string(),
        "to": to,
        "kind": mail.purpose.as_str(),
        "since": format_timestamp(mail.queued),
        "due": mail.due.map(format_timestamp),
        "attempts": mail.attempts,
        "failed": mail.has_failed(),
        "cause": cause,
    })
}
