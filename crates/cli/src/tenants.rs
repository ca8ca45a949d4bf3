//! `muster tenant`: customers, and what each has settled for its people.

use crate::output::Output;
use crate::session::{AdminSession, directory_error};
use crate::settings::Settings;
use crate::tenant_removal;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use directory::{Caller, Command, FieldUpdate, Tenant, TenantEdit, TenantNumber};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum TenantCommand {
    /// Add a tenant
    Add {
        /// What people call it
        name: String,
        /// Its number, which some clients send along; the next free one when left out
        #[arg(long)]
        number: Option<u32>,
        /// Add it although there is a tenant of this name
        #[arg(long)]
        allow_duplicate: bool,
    },
    /// List the tenants
    List,
    /// Show what a tenant has settled
    Show(TenantArg),
    /// Settle something for a tenant; an empty text takes it back
    Set(TenantSetArgs),
    /// Delete a tenant permanently, with its users, groups and connections
    #[command(alias = "remove")]
    Delete {
        /// Its number
        number: u32,
        /// Delete it; without this, the command only says what there is to delete
        #[arg(long)]
        yes: bool,
    },
    /// Take a file as the tenant's own template of a mail, or go back to the built-in one
    Template {
        /// invitation.txt, invitation.html, invitation.subject.txt, reset.txt, reset.html or reset.subject.txt
        name: String,
        /// The file; without it, the built-in template is used again
        file: Option<PathBuf>,
        #[command(flatten)]
        which: TenantArg,
    },
}

#[derive(Args)]
pub(crate) struct TenantArg {
    /// The tenant; may be left out when there is just one
    #[arg(long)]
    tenant: Option<u32>,
}

#[derive(Args)]
pub(crate) struct TenantSetArgs {
    #[command(flatten)]
    which: TenantArg,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// How long invitations can be accepted, in hours
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=2160))]
    invitation_hours: Option<u32>,
    /// The fewest characters of a password that somebody chooses on a page
    #[arg(long, value_name = "CHARACTERS", value_parser = clap::value_parser!(u32).range(6..=128), alias = "min-password")]
    min_password_length: Option<u32>,
    /// In whose name mails are sent; the tenant's own when empty
    #[arg(long, value_name = "NAME")]
    sender_name: Option<String>,
    /// Where all mails go instead of to the people themselves; empty for the people
    #[arg(long, value_name = "EMAIL", alias = "mails-to")]
    redirect_mails_to: Option<String>,
    /// Show the name on pages before sign-in, to all visitors who know the tenant's number
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
            let tenants = session.runtime.block_on(session.directory.tenants()).map_err(directory_error)?;
            let is_same = |tenant: &&Tenant| directory::fold(&tenant.name) == directory::fold(&name);
            if let Some(tenant) = tenants.iter().find(is_same).filter(|_| !allow_duplicate) {
                bail!("tenant {} is called {} (--allow-duplicate adds another)", tenant.number, tenant.name);
            }
            add(&session, name, number, output)
        }
        TenantCommand::List => list(&session, output),
        TenantCommand::Show(which) => {
            let caller = session.resolve_tenant(which.tenant)?;
            print_tenant(&load_tenant(&session, &caller)?, output);
            Ok(())
        }
        TenantCommand::Set(set) => {
            let caller = session.resolve_tenant(set.which.tenant)?;
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
        TenantCommand::Template { name, file, which } => {
            let caller = session.resolve_tenant(which.tenant)?;
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
                bail!("the tenant has no template {name} of its own");
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
    let caller = crate::session::operator_caller(TenantNumber(0));
    let receipt = session.runtime.block_on(session.directory.run(&caller, command)).map_err(directory_error)?;
    let tenant = receipt.tenant.context("no tenant came back")?;
    output.result(&json!({"number": tenant.number.0, "name": tenant.name}), || {
        format!("Tenant {} is {}. Some clients send the number along with their key.", tenant.number, tenant.name)
    });
    Ok(())
}

fn list(session: &AdminSession, output: Output) -> anyhow::Result<()> {
    let all = session.runtime.block_on(session.directory.tenants()).map_err(directory_error)?;
    let document: Vec<Value> = all.iter().map(|t| json!({"number": t.number.0, "name": t.name})).collect();
    let rows = all.iter().map(|t| vec![t.number.to_string(), t.name.clone()]).collect();
    let empty = "There is no tenant yet. `muster tenant add NAME` makes one.";
    output.rows(&document.into(), &["number", "name"], rows, empty);
    Ok(())
}

fn load_tenant(session: &AdminSession, caller: &Caller) -> anyhow::Result<Tenant> {
    session.runtime.block_on(session.directory.tenant(caller.tenant)).map_err(directory_error)
}

fn update(session: &AdminSession, caller: &Caller, edit: TenantEdit, output: Output) -> anyhow::Result<()> {
    let command = Command::UpdateTenant(edit);
    session.runtime.block_on(session.directory.run(caller, command)).map_err(directory_error)?;
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
        row("invitations last", format!("{} hours", settings.invitation_hours)),
        row("chosen passwords have", format!("{} characters or more", settings.min_password_chars)),
        row("mails are from", settings.sender_name.clone().unwrap_or_else(|| tenant.name.clone())),
        row("mails go to", settings.redirect_mails_to.clone().unwrap_or_else(|| "the people themselves".into())),
        row("name on pages", if settings.show_name_before_sign_in { "always".into() } else { "after sign-in".into() }),
        row("own templates", if custom_templates.is_empty() { "none".into() } else { templates }),
    ];
    output.rows(&document, &["field", "value"], rows, "");
}
