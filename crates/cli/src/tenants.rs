//! `muster tenant`: customers, and what each has settled for its people.

use crate::admin::{Desk, refused};
use crate::output::Output;
use crate::settings::Settings;
use crate::tenant_removal;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use directory::{Caller, Command, FieldUpdate, Tenant, TenantEdit, TenantNumber};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum TenantTask {
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
    Show(Which),
    /// Settle something for a tenant; an empty text takes it back
    Set(Set),
    /// Delete a tenant permanently, with its users, groups and connections
    Remove {
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
        which: Which,
    },
}

#[derive(Args)]
pub(crate) struct Which {
    /// The tenant; may be left out when there is just one
    #[arg(long)]
    tenant: Option<u32>,
}

#[derive(Args)]
pub(crate) struct Set {
    #[command(flatten)]
    which: Which,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// How long invitations can be accepted, in hours
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=2160))]
    invitation_hours: Option<u32>,
    /// The fewest characters of a password that somebody chooses on a page
    #[arg(long, value_name = "CHARACTERS", value_parser = clap::value_parser!(u32).range(6..=128))]
    min_password: Option<u32>,
    /// In whose name mails are sent; the tenant's own when empty
    #[arg(long, value_name = "NAME")]
    sender_name: Option<String>,
    /// Where all mails go instead of to the people themselves; empty for the people
    #[arg(long, value_name = "EMAIL")]
    mails_to: Option<String>,
    /// Show the name on pages before sign-in, to all visitors who know the tenant's number
    #[arg(long, value_name = "BOOL")]
    public_name: Option<bool>,
}

pub(crate) fn run(settings: &Settings, task: TenantTask, output: Output) -> anyhow::Result<()> {
    let desk = match task {
        TenantTask::Add { .. } => Desk::open_or_make(settings)?,
        TenantTask::List | TenantTask::Show(_) => Desk::open_read_only(settings)?,
        TenantTask::Set(_) | TenantTask::Template { .. } | TenantTask::Remove { .. } => Desk::open(settings)?,
    };
    match task {
        TenantTask::Add { name, number, allow_duplicate } => {
            let tenants = desk.runtime.block_on(desk.directory.tenants()).map_err(refused)?;
            let is_same = |tenant: &&Tenant| directory::fold(&tenant.name) == directory::fold(&name);
            if let Some(tenant) = tenants.iter().find(is_same).filter(|_| !allow_duplicate) {
                bail!("tenant {} is called {} (--allow-duplicate adds another)", tenant.number, tenant.name);
            }
            add(&desk, name, number, output)
        }
        TenantTask::List => list(&desk, output),
        TenantTask::Show(which) => {
            let caller = desk.tenant(which.tenant)?;
            show(&tenant(&desk, &caller)?, output);
            Ok(())
        }
        TenantTask::Set(set) => {
            let caller = desk.tenant(set.which.tenant)?;
            let text = |said: Option<String>| match said {
                None => FieldUpdate::Keep,
                Some(text) if text.trim().is_empty() => FieldUpdate::Clear,
                Some(text) => FieldUpdate::Set(text),
            };
            let edit = TenantEdit {
                name: FieldUpdate::set_or_keep(set.name),
                invitation_hours: FieldUpdate::set_or_keep(set.invitation_hours),
                min_password_chars: FieldUpdate::set_or_keep(set.min_password),
                sender_name: text(set.sender_name),
                redirect_mails_to: text(set.mails_to),
                show_name_before_sign_in: FieldUpdate::set_or_keep(set.public_name),
                ..TenantEdit::default()
            };
            settle(&desk, &caller, edit, output)
        }
        TenantTask::Remove { number, yes } => tenant_removal::remove(&desk, number, yes, output),
        TenantTask::Template { name, file, which } => {
            let caller = desk.tenant(which.tenant)?;
            let given = match file {
                None => FieldUpdate::Clear,
                Some(path) => {
                    let shown = path.display();
                    let text =
                        std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
                    portal::check_template(&name, &text).with_context(|| format!("{shown}"))?;
                    FieldUpdate::Set(text)
                }
            };
            if given == FieldUpdate::Clear && !tenant(&desk, &caller)?.settings.templates.contains_key(&name)
            {
                bail!("the tenant has no template {name} of its own");
            }
            settle(
                &desk,
                &caller,
                TenantEdit { templates: vec![(name, given)], ..TenantEdit::default() },
                output,
            )
        }
    }
}

fn add(desk: &Desk, name: String, number: Option<u32>, output: Output) -> anyhow::Result<()> {
    let command = Command::AddTenant { name, number: number.map(TenantNumber) };
    let caller = crate::admin::at_terminal(TenantNumber(0));
    let receipt = desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
    let tenant = receipt.tenant.context("no tenant came back")?;
    output.result(&json!({"number": tenant.number.0, "name": tenant.name}), || {
        format!(
            "Tenant {} is {}. Some clients send the number along with their key.",
            tenant.number, tenant.name
        )
    });
    Ok(())
}

fn list(desk: &Desk, output: Output) -> anyhow::Result<()> {
    let all = desk.runtime.block_on(desk.directory.tenants()).map_err(refused)?;
    let document: Vec<Value> = all.iter().map(|t| json!({"number": t.number.0, "name": t.name})).collect();
    let rows = all.iter().map(|t| vec![t.number.to_string(), t.name.clone()]).collect();
    let empty = "There is no tenant yet. `muster tenant add NAME` makes one.";
    output.rows(&document.into(), &["number", "name"], rows, empty);
    Ok(())
}

fn tenant(desk: &Desk, caller: &Caller) -> anyhow::Result<Tenant> {
    desk.runtime.block_on(desk.directory.tenant(caller.tenant)).map_err(refused)
}

fn settle(desk: &Desk, caller: &Caller, edit: TenantEdit, output: Output) -> anyhow::Result<()> {
    let command = Command::UpdateTenant(edit);
    desk.runtime.block_on(desk.directory.run(caller, command)).map_err(refused)?;
    show(&tenant(desk, caller)?, output);
    Ok(())
}

fn show(tenant: &Tenant, output: Output) {
    let settings = &tenant.settings;
    let own: Vec<&String> = settings.templates.keys().collect();
    let document = json!({
        "number": tenant.number.0,
        "name": tenant.name,
        "invitationHours": settings.invitation_hours,
        "minPassword": settings.min_password_chars,
        "senderName": settings.sender_name,
        "mailsTo": settings.redirect_mails_to,
        "publicName": settings.show_name_before_sign_in,
        "templates": own,
    });
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let templates = own.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let rows = vec![
        row("number", tenant.number.to_string()),
        row("name", tenant.name.clone()),
        row("invitations last", format!("{} hours", settings.invitation_hours)),
        row("chosen passwords have", format!("{} characters or more", settings.min_password_chars)),
        row("mails are from", settings.sender_name.clone().unwrap_or_else(|| tenant.name.clone())),
        row(
            "mails go to",
            settings.redirect_mails_to.clone().unwrap_or_else(|| "the people themselves".into()),
        ),
        row(
            "name on pages",
            if settings.show_name_before_sign_in { "always".into() } else { "after sign-in".into() },
        ),
        row("own templates", if own.is_empty() { "none".into() } else { templates }),
    ];
    output.rows(&document, &["field", "value"], rows, "");
}
