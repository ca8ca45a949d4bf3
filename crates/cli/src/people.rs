//! `muster user`: people, for a look or a quick change at the terminal.

use crate::admin::{Desk, moment, refused};
use crate::mails;
use crate::output::{Output, table};
use crate::settings::Settings;
use crate::user_json::{describe, role};
use anyhow::Context;
use clap::{Args, Subcommand};
use directory::{
    Caller, Command, Field, FieldUpdate, PasswordHash, RequestedStatus, RoleRef, Status, User, UserEdit,
    UserId, UserKey, UserPredicate, UserQuery, fold,
};
use serde_json::json;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum UserTask {
    /// List people in the order they came
    List {
        #[command(flatten)]
        tenant: Tenant,
        /// Only those with this in their name, e-mail or any other text
        #[arg(long)]
        search: Option<String>,
        /// How many to leave out at the start
        #[arg(long, default_value_t = 0)]
        skip: u64,
        /// How many to show
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one person
    Show {
        /// Number, e-mail, id or external id
        who: String,
        #[command(flatten)]
        tenant: Tenant,
    },
    /// Add a person, who is then active
    Add(NewUser),
    /// Send a person a link with which they choose a password; again, if there was one
    Invite {
        /// Number, e-mail, id or external id
        who: String,
        #[command(flatten)]
        tenant: Tenant,
    },
    /// Bring back somebody who was removed in the last 30 days
    Restore {
        /// Number, e-mail, id or external id
        who: String,
        #[command(flatten)]
        tenant: Tenant,
    },
    /// List those who were removed and can be restored
    Removed {
        #[command(flatten)]
        tenant: Tenant,
    },
    /// Remove a person
    Remove {
        /// Number, e-mail, id or external id
        who: String,
        #[command(flatten)]
        tenant: Tenant,
    },
}

#[derive(Args)]
pub(crate) struct Tenant {
    /// The tenant; may be left out when there is just one
    #[arg(long)]
    tenant: Option<u32>,
}

#[derive(Args)]
pub(crate) struct NewUser {
    /// E-mail
    email: String,
    /// First name
    #[arg(long)]
    first_name: Option<String>,
    /// Last name
    #[arg(long)]
    last_name: Option<String>,
    /// Your own key for the person
    #[arg(long)]
    external_id: Option<String>,
    /// Role, by name
    #[arg(long)]
    role: Option<String>,
    /// Not active yet: a mail asks them to choose a password
    #[arg(long, conflicts_with = "password_hash_file")]
    invite: bool,
    /// A file with their password as another system has stored it: Argon2, bcrypt, PBKDF2 or scrypt
    #[arg(long, value_name = "FILE")]
    password_hash_file: Option<PathBuf>,
    #[command(flatten)]
    tenant: Tenant,
}

pub(crate) fn user(settings: &Settings, task: UserTask, output: Output) -> anyhow::Result<()> {
    let is_read = matches!(task, UserTask::List { .. } | UserTask::Show { .. } | UserTask::Removed { .. });
    let desk = Desk::open_for(settings, is_read)?;
    match task {
        UserTask::List { tenant, search, skip, limit } => {
            list(&desk, &desk.tenant(tenant.tenant)?, search.as_deref(), (skip, limit), output)?;
        }
        UserTask::Show { who, tenant } => {
            let caller = desk.tenant(tenant.tenant)?;
            let user = find(&desk, &caller, &who)?;
            let mails = desk.directory.mails(caller.tenant, Some(user.id), 100);
            let mails = desk.runtime.block_on(mails).map_err(refused)?;
            let mut document = describe(&user);
            let to = user.email().unwrap_or_default();
            document["mails"] = mails.iter().map(|mail| mails::describe(mail, to)).collect();
            output.result(&document, || {
                let mut rows = details(&user);
                let row = |mail| vec![format!("{} mail", mail_kind(mail)), mails::state(mail)];
                rows.extend(mails.iter().map(row));
                table(&["field", "value"], rows)
            });
        }
        UserTask::Add(new) => add(&desk, new, output)?,
        UserTask::Invite { who, tenant } => {
            let caller = desk.tenant(tenant.tenant)?;
            let user = find(&desk, &caller, &who)?;
            let command = Command::Invite(vec![UserKey::Id(user.id)]);
            let invited = desk.runtime.block_on(desk.directory.run(&caller, command));
            if invited == Err(directory::DirectoryError::WrongStatus) {
                let status = user.status.as_str();
                anyhow::bail!(
                    "{} is {status}: only who may sign in and has no password yet is asked in",
                    user.user_name
                );
            }
            invited.map_err(refused)?;
            output.result(&json!({"number": user.number, "invited": true}), || {
                format!("A mail that asks {} in waits to be sent by the server.", user.user_name)
            });
        }
        UserTask::Restore { who, tenant } => {
            let caller = desk.tenant(tenant.tenant)?;
            let stone = desk.runtime.block_on(desk.directory.deleted_user(&caller, &keys(&who)));
            let stone = stone.map_err(|_| {
                anyhow::anyhow!("nobody known as {who} was removed from tenant {} lately", caller.tenant)
            })?;
            let command = Command::RestoreUser(UserKey::Id(stone.user.id));
            let receipt = desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
            let user = receipt.users.first().context("no user came back")?;
            output.result(&describe(user), || {
                format!("User {} ({}) is back, as they were.", user.number, user.user_name)
            });
        }
        UserTask::Removed { tenant } => removed(&desk, tenant.tenant, output)?,
        UserTask::Remove { who, tenant } => {
            let caller = desk.tenant(tenant.tenant)?;
            let user = find(&desk, &caller, &who)?;
            let command = Command::DeleteUser(UserKey::Id(user.id));
            desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
            output.result(&json!({"number": user.number, "removed": true}), || {
                format!("User {} ({}) is removed.", user.number, user.user_name)
            });
        }
    }
    Ok(())
}

fn list(
    desk: &Desk,
    caller: &Caller,
    search: Option<&str>,
    (skip, limit): (u64, u32),
    output: Output,
) -> anyhow::Result<()> {
    let tests = search
        .iter()
        .map(|text| UserPredicate::AnyTextContains { substring: fold(text), organizations: Vec::new() })
        .collect();
    let query = UserQuery { predicates: tests, offset: skip, limit, ..UserQuery::default() };
    let page = desk.runtime.block_on(desk.directory.users(caller, query)).map_err(refused)?;
    let document = json!({"total": page.total, "users": page.rows.iter().map(describe).collect::<Vec<_>>()});
    let rows = page.rows.iter().map(|user| {
        let email = user.email().unwrap_or(&user.user_name).to_owned();
        vec![user.number.to_string(), user.full_name(), email, user.status.as_str().into(), shown_role(user)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let shown = rows.len();
    output.result(&document, || {
        if shown == 0 {
            return "There is nobody to show.".into();
        }
        let table = table(&["number", "name", "e-mail", "status", "role"], rows);
        format!("{table}\n\n{shown} of {}", page.total)
    });
    Ok(())
}

fn add(desk: &Desk, new: NewUser, output: Output) -> anyhow::Result<()> {
    let caller = desk.tenant(new.tenant.tenant)?;
    let status = if new.invite { Status::Invited } else { Status::Active };
    let mut edit = UserEdit {
        status: FieldUpdate::Set(RequestedStatus::Exact(status)),
        invite: new.invite,
        password_hash: new.password_hash_file.as_deref().map(stored_password).transpose()?,
        ..UserEdit::default()
    };
    edit.set_text(Field::Email, FieldUpdate::Set(new.email));
    edit.set_text(Field::GivenName, FieldUpdate::set_or_keep(new.first_name));
    edit.set_text(Field::FamilyName, FieldUpdate::set_or_keep(new.last_name));
    edit.set_text(Field::ExternalId, FieldUpdate::set_or_keep(new.external_id));
    edit.role = FieldUpdate::set_or_keep(new.role.map(RoleRef::Name));
    let command = Command::CreateUser(Box::new(edit));
    let receipt = desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
    let user = receipt.users.first().context("no user came back")?;
    output.result(&describe(user), || format!("User {} is {}.", user.number, user.user_name));
    Ok(())
}

fn mail_kind(mail: &directory::Mail) -> &'static str {
    mail.purpose.as_str()
}

fn removed(desk: &Desk, tenant: Option<u32>, output: Output) -> anyhow::Result<()> {
    let caller = desk.tenant(tenant)?;
    let (mut rows, mut documents, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page =
            desk.runtime.block_on(desk.directory.deleted_users(&caller, after, 1000)).map_err(refused)?;
        let Some(last) = page.last() else { break };
        after = last.user.number;
        for stone in page.iter().filter(|stone| stone.is_restorable(desk.directory.now())) {
            let until = stone.deleted.plus_seconds(directory::Tombstone::RESTORABLE_SECONDS);
            let (user, email) = (&stone.user, stone.user.email().unwrap_or(&stone.user.user_name));
            documents.push(json!({
                "number": user.number, "id": user.id.to_string(), "userName": user.user_name,
                "removed": moment(stone.deleted), "until": moment(until),
            }));
            rows.push(vec![
                user.number.to_string(),
                user.full_name(),
                email.to_owned(),
                moment(stone.deleted),
                moment(until),
            ]);
        }
    }
    let headings = ["number", "name", "e-mail", "removed", "can come back until"];
    output.rows(&documents.into(), &headings, rows, "Nobody was removed lately.");
    Ok(())
}

/// A password as another system has stored it, from a file, so that it is in no list of processes.
fn stored_password(path: &std::path::Path) -> anyhow::Result<PasswordHash> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(PasswordHash(text.trim().to_owned().into()))
}

/// Whatever somebody may be known by.
pub(crate) fn keys(who: &str) -> Vec<UserKey> {
    let number = who.parse().map(UserKey::Number).ok();
    let id = uuid::Uuid::try_parse(who).map(|id| UserKey::Id(UserId(id))).ok();
    let others = [Some(UserKey::LoginConstantTime(who.into())), Some(UserKey::ExternalId(who.into()))];
    [number, id].into_iter().chain(others).flatten().collect()
}

/// Somebody by number, id, e-mail, user name or external id: whatever fits.
pub(crate) fn find(desk: &Desk, caller: &Caller, who: &str) -> anyhow::Result<User> {
    for key in keys(who) {
        match desk.runtime.block_on(desk.directory.user(caller, key)) {
            Ok(user) => return Ok(user),
            Err(directory::DirectoryError::NoSuchUser) => {}
            Err(refusal) => return Err(refused(refusal)),
        }
    }
    anyhow::bail!("there is no user {who} in tenant {}", caller.tenant)
}

fn shown_role(user: &User) -> String {
    role(user).unwrap_or_else(|| "-".into())
}

fn details(user: &User) -> Vec<Vec<String>> {
    let fields = [
        ("user name", Field::UserName),
        ("e-mail", Field::Email),
        ("external id", Field::ExternalId),
        ("first name", Field::GivenName),
        ("last name", Field::FamilyName),
        ("title", Field::HonorificPrefix),
        ("job title", Field::Title),
        ("department", Field::Department),
        ("phone", Field::WorkPhone),
        ("mobile", Field::MobilePhone),
        ("city", Field::City),
        ("country", Field::Country),
        ("source", Field::Source),
    ];
    let mut rows = vec![
        vec!["number".into(), user.number.to_string()],
        vec!["id".into(), user.id.to_string()],
        vec!["status".into(), user.status.as_str().into()],
        vec!["role".into(), shown_role(user)],
    ];
    for (name, field) in fields {
        rows.extend(user.text(field).map(|text| vec![name.to_owned(), text.to_owned()]));
    }
    rows.push(vec!["groups".into(), user.groups.len().to_string()]);
    rows.push(vec!["folders".into(), user.folders.len().to_string()]);
    rows.push(vec!["created".into(), moment(user.created)]);
    rows.push(vec!["updated".into(), moment(user.updated)]);
    rows
}
