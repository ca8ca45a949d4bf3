//! `muster tenant`: tenants and their settings.

use crate::output::Output;
use crate::session::{AdminSession, TenantArg, operator_caller};
use crate::settings::Settings;
use crate::tenant_removal;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use directory::{Caller, Command, FieldUpdate, Tenant, TenantEdit, TenantNumber};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum TenantCommand {
    /// Create a tenant
    Add {
        /// Display name
        name: String,
        /// Tenant number, which some clients send with their key (default: the next free number)
        #[arg(long)]
        number: Option<u32>,
        /// Allow a name that another tenant already has
        #[arg(long)]
        allow_duplicate: bool,
    },
    /// List the tenants
    List,
    /// Show the settings of a tenant
    Show(TenantArg),
    /// Change the settings of a tenant; omitted settings are unchanged
    Set(TenantSetArgs),
    /// Delete a tenant permanently, with its users and groups, and revoke its connections; its audit history is kept
    #[command(alias = "remove")]
    Delete {
        /// Tenant number
        number: u32,
        /// Confirm the deletion; without it, the command fails and shows the number of users
        #[arg(long)]
        yes: bool,
    },
    /// Set a custom mail template, or restore the built-in one
    Template {
        /// Template: invitation.txt, invitation.html, invitation.subject.txt, reset.txt, reset.html or
        /// reset.subject.txt
        name: String,
        /// Template file; without it, the built-in template is restored
        file: Option<PathBuf>,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

#[derive(Args)]
pub(crate) struct TenantSetArgs {
    #[command(flatten)]
    tenant: TenantArg,
    /// Display name
    #[arg(long)]
    name: Option<String>,
    /// Lifetime of invitation links, in hours
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=2160))]
    invitation_hours: Option<u32>,
    /// Minimum length of passwords that users choose on a page
    #[arg(long, value_name = "CHARACTERS", value_parser = clap::value_parser!(u32).range(6..=128), alias = "min-password")]
    min_password_length: Option<u32>,
    /// Sender name of mails; empty for the name of the tenant
    #[arg(long, value_name = "NAME")]
    sender_name: Option<String>,
    /// Send all mails to this address instead of to the users; empty to send them to the users
    #[arg(long, value_name = "EMAIL", alias = "mails-to")]
    redirect_mails_to: Option<String>,
    /// Show the tenant's name on pages before sign-in, to all visitors who know its number
    #[arg(long, value_name = "BOOL")]
    public_name: Option<bool>,
}

pub(crate) fn run(settings: &Settings, command: TenantCommand, output: Output) -> anyhow::Result<()> {
    let session = match command {
        TenantCommand::Add { .. } => AdminSession::open_or_create(settings)?,
        TenantCommand::List | TenantCommand::Show(_) => AdminSession::open_read_only(settings)?,
        TenantCommand::Set(_) | TenantCommand::Template { .. } | TenantCommand::Delete { .. } => {
            AdminSession::open(settings)?
        }
    };
    match command {
        TenantCommand::Add { name, number, allow_duplicate } => {
            let tenants = session.wait(session.directory.tenants(&operator_caller(Caller::NO_TENANT)))?;
            let is_same = |tenant: &&Tenant| directory::fold(&tenant.name) == directory::fold(&name);
            if let Some(tenant) = tenants.iter().find(is_same).filter(|_| !allow_duplicate) {
                bail!(
                    "tenant {} is already named {} (to create another, add --allow-duplicate)",
                    tenant.number,
                    tenant.name
                );
            }
            add(&session, name, number, output)
        }
        TenantCommand::List => list(&session, output),
        TenantCommand::Show(tenant) => {
            let caller = session.caller_in_tenant(tenant)?;
            print_tenant(&load_tenant(&session, &caller)?, output);
            Ok(())
        }
        TenantCommand::Set(set) => {
            let caller = session.caller_in_tenant(set.tenant)?;
            let text = |value: Option<String>| match value {
                None => FieldUpdate::Keep,
                Some(text) if text.trim().is_empty() => FieldUpdate::Clear,
                Some(text) => FieldUpdate::Set(text),
            };
            let edit = TenantEdit {
                name: FieldUpdate::set_or_keep(set.name),
                invitation_hours: FieldUpdate::set_or_keep(set.invitation_hours),
                min_password_chars: FieldUpdate::set_or_keep(set.min_password_length),
                sender_name: text(set.sender_name),
                redirect_mails_to: text(set.redirect_mails_to),
                show_name_before_sign_in: FieldUpdate::set_or_keep(set.public_name),
                ..TenantEdit::default()
            };
            update(&session, &caller, edit, output)
        }
        TenantCommand::Delete { number, yes } => tenant_removal::remove(&session, number, yes, output),
        TenantCommand::Template { name, file, tenant } => {
            let caller = session.caller_in_tenant(tenant)?;
            let template_update = match file {
                None => FieldUpdate::Clear,
                Some(path) => {
                    let shown = path.display();
                    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
                    portal::check_template(&name, &text).with_context(|| format!("{shown}"))?;
                    FieldUpdate::Set(text)
                }
            };
            if template_update == FieldUpdate::Clear
                && !load_tenant(&session, &caller)?.settings.templates.contains_key(&name)
            {
                bail!("the tenant has no custom template {name}");
            }
            update(
                &session,
                &caller,
                TenantEdit { templates: vec![(name, template_update)], ..TenantEdit::default() },
                output,
            )
        }
    }
}

fn add(session: &AdminSession, name: String, number: Option<u32>, output: Output) -> anyhow::Result<()> {
    let command = Command::AddTenant { name, number: number.map(TenantNumber) };
    let caller = operator_caller(Caller::NO_TENANT);
    let receipt = session.wait(session.directory.run(&caller, command))?;
    let tenant = receipt.tenant.context("the directory returned no tenant")?;
    output.result(&json!({"number": tenant.number.0, "name": tenant.name}), || {
        format!("Created tenant {} ({}). Some clients send this number with their key.", tenant.number, tenant.name)
    });
    Ok(())
}

fn list(session: &AdminSession, output: Output) -> anyhow::Result<()> {
    let all = session.wait(session.directory.tenants(&operator_caller(Caller::NO_TENANT)))?;
    let document: Vec<Value> = all.iter().map(|t| json!({"number": t.number.0, "name": t.name})).collect();
    let rows = all.iter().map(|t| vec![t.number.to_string(), t.name.clone()]).collect();
    let empty = "No tenants yet. Create one with `muster tenant add NAME`.";
    output.rows(&document.into(), &["number", "name"], rows, empty);
    Ok(())
}

fn load_tenant(session: &AdminSession, caller: &Caller) -> anyhow::Result<Tenant> {
    session.wait(session.directory.tenant(caller))
}

fn update(session: &AdminSession, caller: &Caller, edit: TenantEdit, output: Output) -> anyhow::Result<()> {
    let command = Command::UpdateTenant(edit);
    session.wait(session.directory.run(caller, command))?;
    print_tenant(&load_tenant(session, caller)?, output);
    Ok(())
}

fn print_tenant(tenant: &Tenant, output: Output) {
    let settings = &tenant.settings;
    let custom_templates: Vec<&String> = settings.templates.keys().collect();
    let document = json!({
        "number": tenant.number.0,
        "name": tenant.name,
        "invitationHours": settings.invitation_hours,
        "minPassword": settings.min_password_chars,
        "senderName": settings.sender_name,
        "mailsTo": settings.redirect_mails_to,
        "publicName": settings.show_name_before_sign_in,
        "templates": custom_templates,
    });
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let templates = custom_templates.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let rows = vec![
        row("number", tenant.number.to_string()),
        row("name", tenant.name.clone()),
        row("invitation lifetime", format!("{} hours", settings.invitation_hours)),
        row("minimum password length", format!("{} characters", settings.min_password_chars)),
        row("mail sender name", settings.sender_name.clone().unwrap_or_else(|| tenant.name.clone())),
        row("mails sent to", settings.redirect_mails_to.clone().unwrap_or_else(|| "the users".into())),
        row(
            "tenant name on pages",
            if settings.show_name_before_sign_in { "always".into() } else { "after sign-in".into() },
        ),
        row("custom templates", if custom_templates.is_empty() { "none".into() } else { templates }),
    ];
    output.rows(&document, &["field", "value"], rows, "");
}
