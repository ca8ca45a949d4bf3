//! A row about a person.

use super::Key;
use super::job::{Done, Job, patiently, somebody};
use super::report::Outcome;
use crate::column::{Kind, What};
use crate::formats::Row;
use crate::person::{Said, differences};
use crate::refer::{Found, References};
use directory::{
    Command, DirectoryError, ExposeSecret, Field, FieldUpdate, ItemKey, ItemKind, Preview, RequestedStatus,
    Status, User, UserEdit, UserId, UserKey,
};
use serde_json::Value;

/// A row that is ready to be carried out.
pub(super) struct Ready {
    said: Said,
    /// The file speaks of organisations: who has none there has none here.
    has_organisations: bool,
    /// In a preview: they would be in a group that would be made.
    joins_new: bool,
    /// The manager, if they do not exist yet.
    manager: Option<String>,
}

/// Finds what a row refers to.
pub(super) async fn prepare(
    job: &Job<'_>,
    references: &mut References<'_>,
    mut said: Said,
    row: &Row,
) -> Result<Ready, DirectoryError> {
    let manager = match said.manager.take() {
        Some(text) => match job.scan.user_keys(&text).iter().find_map(|key| references.user(key)) {
            Some(user) => {
                said.edit.set_text(Field::Manager, FieldUpdate::Set(user.to_string()));
                None
            }
            None => Some(text),
        },
        None => None,
    };
    let mut joins_new = false;
    for (kind, texts) in [(ItemKind::Group, said.groups.take()), (ItemKind::Folder, said.folders.take())] {
        let Some(texts) = texts else { continue };
        let found = references.all(kind, &texts).await?;
        let there = found.iter().filter_map(|found| match found {
            Found::There(id) => Some(ItemKey::Id(*id)),
            Found::Coming => None,
        });
        let there = FieldUpdate::Set(there.collect());
        joins_new |= found.contains(&Found::Coming);
        if kind == ItemKind::Group {
            said.edit.groups = there;
        } else {
            said.edit.folders = there;
        }
    }
    // A table speaks of them in every row; an object only where it says so.
    let is_table = matches!(job.options.format, crate::Format::Csv | crate::Format::Xlsx);
    let names_one = |(place, _): &(usize, Value)| {
        job.scan.headers[*place].column.is_some_and(|column| column.what == What::Organisation)
    };
    let has_organisations = if is_table {
        job.scan.header_of(|what| what == What::Organisation).is_some()
    } else {
        row.cells.iter().any(names_one)
    };
    Ok(Ready { said, has_organisations, joins_new, manager })
}

/// Carries a row out, and says what came of it. `before` is the person it is about, where they are there.
pub(super) async fn carry_out(job: &Job<'_>, mut ready: Ready, before: Option<User>, row: Row) -> Done {
    let mut user = before.as_ref().map(|before| (before.number, before.id));
    let is_deleted = ready.said.is_deleted();
    let manager = ready.manager.take().filter(|_| !is_deleted);
    let outcome = match before {
        None if is_deleted => Ok(Outcome::Left),
        None => match create(job, &ready, &mut user).await {
            Err(refusal) if ready.said.loses_password(&refusal) => create(job, &ready, &mut user).await,
            outcome => outcome,
        },
        Some(before) => {
            if is_deleted {
                let status = FieldUpdate::Set(RequestedStatus::Inactive);
                *ready.said.edit = UserEdit { status, ..UserEdit::default() };
            }
            match update(job, &ready, before.clone()).await {
                Err(refusal) if ready.said.loses_password(&refusal) => update(job, &ready, before).await,
                outcome => outcome,
            }
        }
    };
    let lost_password = ready.said.lost_password && outcome == Ok(Outcome::Created);
    Done { user, lost_password, is_deleted, manager, ..Done::new(Kind::User, row, outcome) }
}

/// Whom a row is about.
pub(super) enum Who {
    Nobody,
    There(Box<User>),
    /// What it is known by leads to somebody it may not be about.
    Doubtful(String),
}

/// Finds whom a row is about: by the surest key that leads to anybody. Whoever is known by nothing else is known by what they
/// sign in with.
pub(super) async fn find(job: &Job<'_>, said: &Said) -> Result<Who, DirectoryError> {
    let of = |key: Key| match key {
        Key::Id => said.id.map(UserKey::Id),
        Key::ExternalId => said.external_id.clone().map(UserKey::ExternalId),
        Key::Email => said.email.clone().map(UserKey::Email),
        Key::UserName => said.user_name.clone().map(UserKey::Login),
    };
    let mut keys: Vec<(Key, UserKey)> =
        job.options.match_by.iter().filter_map(|key| Some((*key, of(*key)?))).collect();
    if keys.is_empty() {
        keys.extend(of(Key::UserName).map(|key| (Key::UserName, key)));
    }
    let mut is_known_by_another = false;
    for (sort, key) in keys {
        if let Some(user) = somebody(job, key).await? {
            // An e-mail that was given to somebody new, say.
            if is_known_by_another && user.external_id.is_some() && user.external_id != said.external_id {
                let header = job.scan.called(sort.field());
                return Ok(Who::Doubtful(format!(
                    "{header} is that of somebody who has another external id; say with --match what counts"
                )));
            }
            return Ok(Who::There(Box::new(user)));
        }
        is_known_by_another |= sort == Key::ExternalId;
    }
    Ok(Who::Nobody)
}

async fn create(
    job: &Job<'_>,
    ready: &Ready,
    created: &mut Option<(u32, UserId)>,
) -> Result<Outcome, DirectoryError> {
    let Ready { said, has_organisations, joins_new: _, manager: _ } = ready;
    let mut edit = said.edit.clone();
    edit.id = said.id;
    if !edit.status.is_change() {
        let status = if job.options.invites { Status::Invited } else { Status::Active };
        edit.status = FieldUpdate::Set(RequestedStatus::Exact(status));
    }
    edit.invite = job.options.invites;
    if *has_organisations && !edit.organization.is_change() {
        edit.organization = FieldUpdate::Clear;
    }
    let command = Command::CreateUser(edit);
    if job.options.is_preview {
        job.directory.preview(job.caller, &command).await?;
        return Ok(Outcome::Created);
    }
    let mut receipt = patiently(job.directory, job.caller, command).await?;
    let Some(user) = receipt.users.pop() else {
        return Err(DirectoryError::Internal("nobody was made".into()));
    };
    *created = Some((user.number, user.id));
    if said.unsaid_after {
        let edit = UserEdit { status: FieldUpdate::Clear, ..UserEdit::default() };
        let command = Command::UpdateUser { user: UserKey::Id(user.id), edit: Box::new(edit) };
        patiently(job.directory, job.caller, command).await?;
    }
    Ok(Outcome::Created)
}

async fn update(job: &Job<'_>, ready: &Ready, before: User) -> Result<Outcome, DirectoryError> {
    let Ready { said, has_organisations: _, joins_new, manager: _ } = ready;
    let mut edit = said.edit.clone();
    // Nobody is put back to where they have not been yet.
    if edit.status == FieldUpdate::Set(RequestedStatus::Exact(Status::Invited)) {
        edit.status = FieldUpdate::Keep;
    }
    if said.unsaid_after || edit.status == FieldUpdate::Clear && before.active_cleared {
        edit.status = FieldUpdate::Keep;
    }
    if let Some(hash) = &edit.password_hash {
        // The same once more would only sign them out everywhere.
        let stored = job.directory.password_hashes(job.caller, (before.number, before.number)).await?;
        let same =
            |(_, stored): &(u32, directory::PasswordHash)| stored.0.expose_secret() == hash.0.expose_secret();
        if stored.first().is_some_and(same) {
            edit.password_hash = None;
        }
    }
    let has_password = edit.password.is_some() || edit.password_hash.is_some();
    let command = Command::UpdateUser { user: UserKey::Id(before.id), edit };
    if job.options.is_preview {
        return Ok(match job.directory.preview(job.caller, &command).await? {
            Preview::User(after) => {
                let mut columns = differences(&before, &after, &job.names);
                columns.extend(has_password.then_some("password"));
                Outcome::Changed(columns)
            }
            _ if *joins_new => Outcome::Changed(vec!["groups"]),
            _ => Outcome::Left,
        });
    }
    let receipt = patiently(job.directory, job.caller, command).await?;
    let is_changed = receipt.users.first().is_some_and(|after| after.version != before.version);
    Ok(if is_changed { Outcome::Changed(Vec::new()) } else { job.user_left(&before) })
}
