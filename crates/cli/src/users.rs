//! `muster user`: users.

use crate::mails;
use crate::output::{Output, table};
use crate::session::{AdminSession, TenantArg, directory_error, format_timestamp};
use crate::settings::Settings;
use crate::user_json::{role_name, user_json};
use anyhow::Context;
use clap::{Args, Subcommand};
use directory::{
    Caller, Command, Field, FieldUpdate, PasswordHash, RequestedStatus, RoleRef, Status, User, UserEdit, UserId,
    UserKey, UserPredicate, UserQuery, fold,
};
use serde_json::json;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// List users by number
    List {
        #[command(flatten)]
        tenant: TenantArg,
        /// Only users whose name, email or other text contains this
        #[arg(long)]
        search: Option<String>,
        /// Number of users to skip
        #[arg(long, default_value_t = 0)]
        skip: u64,
        /// Maximum number of users to show
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show a user
    Show(UserRef),
    /// Create a user, who is active at once unless --invite is given
    Add(AddArgs),
    /// Email a user an invitation with a link to choose a password; can be repeated
    Invite(UserRef),
    /// Restore a user who was deleted in the last 30 days
    Restore(UserRef),
    /// List deleted users who can be restored
    #[command(alias = "removed")]
    ListDeleted(TenantArg),
    /// Delete a user, who can be restored for 30 days
    #[command(alias = "remove")]
    Delete(UserRef),
}

#[derive(Args)]
pub(crate) struct UserRef {
    /// User number, id, email, user name or external id
    #[arg(value_name = "USER")]
    user_ref: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// Email address
    email: String,
    /// First name
    #[arg(long)]
    first_name: Option<String>,
    /// Last name
    #[arg(long)]
    last_name: Option<String>,
    /// Id of the user in your system
    #[arg(long)]
    external_id: Option<String>,
    /// Name of the role
    #[arg(long)]
    role: Option<String>,
    /// Create the user as invited, and email a link to choose a password
    #[arg(long, conflicts_with = "password_hash_file")]
    invite: bool,
    /// File with a password hash from another system: Argon2, bcrypt, PBKDF2 or scrypt
    #[arg(long, value_name = "FILE")]
    password_hash_file: Option<PathBuf>,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(crate) fn run(settings: &Settings, command: UserCommand, output: Output) -> anyhow::Result<()> {
    let is_read =
        matches!(command, UserCommand::List { .. } | UserCommand::Show { .. } | UserCommand::ListDeleted { .. });
    let session = AdminSession::open_for(settings, is_read)?;
    match command {
        UserCommand::List { tenant, search, skip, limit } => {
            list(&session, &session.caller_in_tenant(tenant)?, search.as_deref(), (skip, limit), output)?;
        }
        UserCommand::Show(UserRef { user_ref, tenant }) => {
            let caller = session.caller_in_tenant(tenant)?;
            let user = find_user(&session, &caller, &user_ref)?;
            let mails = session.directory.mails(&caller, Some(user.id), 100);
            let mails = session.wait(mails)?;
            let mut document = user_json(&user);
            let to = user.email().unwrap_or_default();
            document["mails"] = mails.iter().map(|mail| mails::mail_json(mail, to)).collect();
            output.result(&document, || {
                let mut rows = user_rows(&user);
                let row = |mail| vec![format!("{} mail", mail_kind(mail)), mails::state_text(mail)];
                rows.extend(mails.iter().map(row));
                table(&["field", "value"], rows)
            });
        }
        UserCommand::Add(new) => add(&session, new, output)?,
        UserCommand::Invite(UserRef { user_ref, tenant }) => {
            let caller = session.caller_in_tenant(tenant)?;
            let user = find_user(&session, &caller, &user_ref)?;
            let command = Command::Invite(vec![UserKey::Id(user.id)]);
            let invited = session.runtime.block_on(session.directory.run(&caller, command));
            if invited == Err(directory::DirectoryError::WrongStatus) {
                let status = user.status.as_str();
                anyhow::bail!(
                    "{} is {status}: only users who may sign in and have no password yet can be invited; users with a password can reset it on the sign-in page",
                    user.user_name
                );
            }
            invited.map_err(directory_error)?;
            output.result(&json!({"number": user.number, "invited": true}), || {
                format!("Queued an invitation for {}. The server sends it while it runs.", user.user_name)
            });
        }
        UserCommand::Restore(UserRef { user_ref, tenant }) => {
            let caller = session.caller_in_tenant(tenant)?;
            let tombstone = session.runtime.block_on(session.directory.deleted_user(&caller, &lookup_keys(&user_ref)));
            let tombstone = tombstone.map_err(|_| {
                anyhow::anyhow!(
                    "no deleted user {user_ref} in tenant {} can be restored (see `muster user list-deleted`)",
                    caller.tenant
                )
            })?;
            let command = Command::RestoreUser(UserKey::Id(tombstone.user.id));
            let receipt = session.wait(session.directory.run(&caller, command))?;
            let user = receipt.users.first().context("the directory returned no user")?;
            output.result(&user_json(user), || format!("Restored user {} ({}).", user.number, user.user_name));
        }
        UserCommand::ListDeleted(tenant) => list_deleted(&session, tenant, output)?,
        UserCommand::Delete(UserRef { user_ref, tenant }) => {
            let caller = session.caller_in_tenant(tenant)?;
            let user = find_user(&session, &caller, &user_ref)?;
            let command = Command::DeleteUser(UserKey::Id(user.id));
            session.wait(session.directory.run(&caller, command))?;
            output.result(&json!({"number": user.number, "removed": true}), || {
                format!(
                    "Deleted user {0} ({1}). To undo this within 30 days, run `muster user restore {0}`.",
                    user.number, user.user_name
                )
            });
        }
    }
    Ok(())
}

fn list(
    session: &AdminSession,
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
    let page = session.wait(session.directory.find_users(caller, query))?;
    let document = json!({"total": page.total, "users": page.rows.iter().map(user_json).collect::<Vec<_>>()});
    let rows = page.rows.iter().map(|user| {
        let email = user.email().unwrap_or(&user.user_name).to_owned();
        vec![user.number.to_string(), user.full_name(), email, user.status.as_str().into(), role_text(user)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let shown = rows.len();
    output.result(&document, || {
        if shown == 0 {
            return "No users found.".into();
        }
        let table = table(&["number", "name", "email", "status", "role"], rows);
        format!("{table}\n\n{shown} of {} users", page.total)
    });
    Ok(())
}

fn add(session: &AdminSession, new: AddArgs, output: Output) -> anyhow::Result<()> {
    let caller = session.caller_in_tenant(new.tenant)?;
    let status = if new.invite { Status::Invited } else { Status::Active };
    let mut edit = UserEdit {
        status: FieldUpdate::Set(RequestedStatus::Exact(status)),
        invite: new.invite,
        password_hash: new.password_hash_file.as_deref().map(read_password_hash).transpose()?,
        ..UserEdit::default()
    };
    edit.set_text(Field::Email, FieldUpdate::Set(new.email));
    edit.set_text(Field::GivenName, FieldUpdate::set_or_keep(new.first_name));
    edit.set_text(Field::FamilyName, FieldUpdate::set_or_keep(new.last_name));
    edit.set_text(Field::ExternalId, FieldUpdate::set_or_keep(new.external_id));
    edit.role = FieldUpdate::set_or_keep(new.role.map(RoleRef::Name));
    let command = Command::CreateUser(Box::new(edit));
    let receipt = session.wait(session.directory.run(&caller, command))?;
    let user = receipt.users.first().context("the directory returned no user")?;
    output.result(&user_json(user), || format!("Created user {} ({}).", user.number, user.user_name));
    Ok(())
}

fn mail_kind(mail: &directory::Mail) -> &'static str {
    mail.purpose.as_str()
}

fn list_deleted(session: &AdminSession, tenant: TenantArg, output: Output) -> anyhow::Result<()> {
    let caller = session.caller_in_tenant(tenant)?;
    let (mut rows, mut documents, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = session.wait(session.directory.deleted_users(&caller, after, 1000))?;
        let Some(last) = page.last() else { break };
        after = last.user.number;
        for tombstone in page.iter().filter(|tombstone| tombstone.is_restorable(session.directory.now())) {
            let until = tombstone.deleted.plus_seconds(directory::Tombstone::RESTORABLE_SECONDS);
            let (user, email) = (&tombstone.user, tombstone.user.email().unwrap_or(&tombstone.user.user_name));
            documents.push(json!({
                "number": user.number, "id": user.id.to_string(), "userName": user.user_name,
                "removed": format_timestamp(tombstone.deleted), "until": format_timestamp(until),
            }));
            rows.push(vec![
                user.number.to_string(),
                user.full_name(),
                email.to_owned(),
                format_timestamp(tombstone.deleted),
                format_timestamp(until),
            ]);
        }
    }
    let headings = ["number", "name", "email", "deleted", "restorable until"];
    output.rows(&documents.into(), &headings, rows, "No deleted users can be restored.");
    Ok(())
}

/// Reads a password hash from a file: on the command line, other users of the machine could see it.
fn read_password_hash(path: &std::path::Path) -> anyhow::Result<PasswordHash> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(PasswordHash(text.trim().to_owned().into()))
}

/// All keys that a text on the command line can mean.
pub(crate) fn lookup_keys(user_ref: &str) -> Vec<UserKey> {
    let number = user_ref.parse().map(UserKey::Number).ok();
    let id = uuid::Uuid::try_parse(user_ref).map(|id| UserKey::Id(UserId(id))).ok();
    let others = [Some(UserKey::LoginConstantTime(user_ref.into())), Some(UserKey::ExternalId(user_ref.into()))];
    [number, id].into_iter().chain(others).flatten().collect()
}

/// Finds a user by number, id, email, user name or external id.
pub(crate) fn find_user(session: &AdminSession, caller: &Caller, user_ref: &str) -> anyhow::Result<User> {
    for key in lookup_keys(user_ref) {
        match session.runtime.block_on(session.directory.user(caller, key)) {
            Ok(user) => return Ok(user),
            Err(directory::DirectoryError::NoSuchUser) => {}
            Err(error) => return Err(directory_error(error)),
        }
    }
    anyhow::bail!("there is no user {user_ref} in tenant {}", caller.tenant)
}

fn role_text(user: &User) -> String {
    role_name(user).unwrap_or_else(|| "-".into())
}

fn user_rows(user: &User) -> Vec<Vec<String>> {
    let fields = [
        ("user name", Field::UserName),
        ("email", Field::Email),
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
        vec!["role".into(), role_text(user)],
    ];
    for (name, field) in fields {
        rows.extend(user.text(field).map(|text| vec![name.to_owned(), text.to_owned()]));
    }
    rows.push(vec!["groups".into(), user.groups.len().to_string()]);
    rows.push(vec!["folders".into(), user.folders.len().to_string()]);
    rows.push(vec!["created".into(), format_timestamp(user.created)]);
    rows.push(vec!["updated".into(), format_timestamp(user.updated)]);
    rows
}
