//! `muster mail`: pending and failed mails.

use crate::output::Output;
use crate::session::{AdminSession, TenantArg, format_timestamp};
use crate::settings::Settings;
use anyhow::bail;
use clap::Subcommand;
use directory::{DeliveryOutcome, Mail, User, UserKey};
use serde_json::{Value, json};

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum MailCommand {
    /// List pending and failed mails
    List(TenantArg),
    /// Retry failed and delayed mails now
    Retry(TenantArg),
}

const MAX_MAILS: u32 = 10_000;

pub(crate) fn run(settings: &Settings, command: MailCommand, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open_for(settings, matches!(command, MailCommand::List { .. }))?;
    let (MailCommand::List(tenant) | MailCommand::Retry(tenant)) = command;
    let caller = session.caller_in_tenant(tenant)?;
    let mails = session.wait(session.directory.mails(&caller, None, MAX_MAILS))?;
    match command {
        MailCommand::List(_) => {
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
                output.line(&format!("Showing the oldest {MAX_MAILS} mails:\n"));
            }
            let headings = ["to", "kind", "since", "attempts", "state"];
            output.rows(&documents.into(), &headings, rows, "No pending or failed mails.");
        }
        MailCommand::Retry(_) => {
            let now = session.directory.now();
            let mut retried = 0;
            // A mail that a server is sending must not be sent twice.
            for mail in mails.iter().filter(|mail| !mail.is_claimed && mail.due.is_none_or(|due| due > now)) {
                let outcome = mail.outcome.clone().map(|outcome| match outcome {
                    DeliveryOutcome::Failed(cause) => DeliveryOutcome::Delayed(cause),
                    outcome => outcome,
                });
                let update = session.directory.update_mail(&caller, mail, Some(now), outcome, false);
                retried += usize::from(session.wait(update)?.is_some());
            }
            if mails.is_empty() {
                bail!("there are no pending or failed mails");
            }
            output.result(&json!({ "again": retried }), || {
                format!("{retried} mails queued for another attempt. The server sends them while it runs.")
            });
        }
    }
    Ok(())
}

pub(crate) fn state_text(mail: &Mail) -> String {
    match (&mail.outcome, mail.due) {
        (Some(DeliveryOutcome::Failed(cause)), _) => format!("failed: {cause}"),
        _ if mail.is_claimed => "sending".into(),
        (Some(DeliveryOutcome::Delayed(cause)), Some(due)) => format!("retry at {}: {cause}", format_timestamp(due)),
        _ => "pending".into(),
    }
}

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
