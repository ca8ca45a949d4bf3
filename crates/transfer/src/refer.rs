//! What groups, folders, organisations and roles are called in files, in both directions.
//!
//! A reference is an id, an external id or a name, tried in that order. What is written is the shortest of them that leads
//! back to the same thing: groups may share a name.

use directory::{
    Caller, Command, Directory, DirectoryError, FieldUpdate, FolderEdit, GroupEdit, Item, ItemId, ItemKey,
    ItemKind, ItemPageBoundary, ItemQuery, OrganizationEdit, UserId, UserKey, builtin_role_name,
};
use futures_util::StreamExt;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Items read at a time.
const PAGE: u32 = 2_000;
/// References that are looked for at the same time.
const AT_ONCE: usize = 64;
/// References that are remembered; what comes behind is looked up each time.
const REMEMBERED: usize = 500_000;

/// What things are called where they are written.
#[derive(Default)]
pub(crate) struct Names {
    items: HashMap<ItemId, String>,
    roles: HashMap<u32, String>,
}

impl Names {
    /// The names of everything a tenant's people refer to.
    pub(crate) async fn load(directory: &Directory, caller: &Caller) -> Result<Self, DirectoryError> {
        let mut names = Self::default();
        for kind in [ItemKind::Group, ItemKind::Folder, ItemKind::Organization] {
            // Who is found by a text: whoever claims it as an external id, else whoever is alone in being called so.
            let mut by_name: HashMap<String, Option<ItemId>> = HashMap::new();
            let mut external: HashMap<String, ItemId> = HashMap::new();
            let mut all: Vec<(ItemId, String, Option<String>)> = Vec::new();
            each(directory, caller, kind, |item| {
                let named = by_name.entry(Item::name_key(kind, item.name()));
                named.and_modify(|id| *id = None).or_insert(Some(item.id()));
                if let Some(key) = item.external_id() {
                    external.insert(key.to_owned(), item.id());
                }
                all.push((item.id(), item.name().to_owned(), item.external_id().map(str::to_owned)));
            })
            .await?;
            let leads = |text: &str, id: ItemId| {
                let named = || by_name.get(&Item::name_key(kind, text)).copied().flatten();
                let found = external.get(text).copied().or_else(named);
                found == Some(id) && Uuid::try_parse(text).is_err() && !text.is_empty()
            };
            for (id, name, key) in all {
                let key = key.filter(|key| leads(key, id));
                let text = if leads(&name, id) { name } else { key.unwrap_or_else(|| id.to_string()) };
                names.items.insert(id, text);
            }
        }
        each(directory, caller, ItemKind::Role, |item| {
            names.roles.insert(item.number(), item.name().to_owned());
        })
        .await?;
        Ok(names)
    }

    /// What a group, folder or organisation is called; one that came since the names were read, by its id.
    pub(crate) fn item(&self, id: ItemId) -> String {
        self.known(id).map_or_else(|| id.to_string(), str::to_owned)
    }

    /// The same, where it is there.
    pub(crate) fn known(&self, id: ItemId) -> Option<&str> {
        self.items.get(&id).map(String::as_str)
    }

    pub(crate) fn role(&self, number: u32) -> String {
        let named = builtin_role_name(number).map(str::to_owned).or_else(|| self.roles.get(&number).cloned());
        named.unwrap_or_else(|| number.to_string())
    }
}

/// Every item of a kind, in order of number, a page at a time.
pub(crate) async fn each(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    mut look: impl FnMut(&Item),
) -> Result<(), DirectoryError> {
    let mut bound = None;
    loop {
        let query = ItemQuery { limit: PAGE, boundary: bound, ..ItemQuery::all(kind) };
        let page = directory.items(caller, query).await?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        bound = Some(ItemPageBoundary::After(last.number()));
        page.rows.iter().for_each(&mut look);
    }
}

/// What a reference in a file leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is there.
    There(ItemId),
    /// It is not, and would be made; previews only.
    Coming,
}

/// Finds what references lead to, and makes what is not there.
pub(crate) struct References<'a> {
    directory: &'a Directory,
    caller: &'a Caller,
    /// Nothing is made.
    is_preview: bool,
    known: HashMap<(ItemKind, String), Found>,
    /// Users by what rows call them.
    users: HashMap<String, UserId>,
    /// Names of what was made, or would be, in the order of their first mention.
    pub(crate) made: Vec<(ItemKind, String)>,
}

impl<'a> References<'a> {
    pub(crate) fn new(directory: &'a Directory, caller: &'a Caller, is_preview: bool) -> Self {
        let (known, users) = (HashMap::new(), HashMap::new());
        Self { directory, caller, is_preview, known, users, made: Vec::new() }
    }

    /// Looks up users, many at the same time.
    pub(crate) async fn look_up_users(
        &mut self,
        texts: impl Iterator<Item = String>,
    ) -> Result<(), DirectoryError> {
        let new: HashSet<String> = texts.filter(|text| !self.users.contains_key(text)).collect();
        let (directory, caller) = (self.directory, self.caller);
        let found = new.into_iter().map(|text| async move {
            let user = user(directory, caller, &text).await?;
            Ok((text, user))
        });
        let mut found = futures_util::stream::iter(found).buffer_unordered(AT_ONCE);
        while let Some(one) = found.next().await {
            let (text, user) = one?;
            if let Some(user) = user.filter(|_| self.users.len() < REMEMBERED) {
                self.users.insert(text, user);
            }
        }
        Ok(())
    }

    /// A user who was looked up and found.
    pub(crate) fn user(&self, text: &str) -> Option<UserId> {
        self.users.get(text).copied()
    }

    /// What a text leads to, if that is there.
    pub(crate) async fn find(&mut self, kind: ItemKind, text: &str) -> Result<Option<Found>, DirectoryError> {
        if let Some(found) = self.known.get(&(kind, text.to_owned())) {
            return Ok(Some(*found));
        }
        let found = look(self.directory, self.caller, kind, text).await?;
        Ok(found.map(|found| self.remember(kind, text, found)))
    }

    /// What texts lead to; groups and folders that are not there are made.
    pub(crate) async fn all(
        &mut self,
        kind: ItemKind,
        texts: &[String],
    ) -> Result<Vec<Found>, DirectoryError> {
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            all.push(match self.find(kind, text).await? {
                Some(found) => found,
                None => self.make(kind, text).await?,
            });
        }
        Ok(all)
    }

    /// Finds or makes what many texts lead to, a good many at the same time.
    pub(crate) async fn ready(
        &mut self,
        kind: ItemKind,
        texts: impl Iterator<Item = &String>,
    ) -> Result<(), DirectoryError> {
        let mut new: Vec<&String> =
            texts.filter(|text| !self.known.contains_key(&(kind, (*text).clone()))).collect();
        let mut seen = HashSet::new();
        // Names that differ in case only are one, which two at a time would both make.
        new.retain(|text| seen.insert(directory::identifier_key(text)));
        let (directory, caller, is_preview) = (self.directory, self.caller, self.is_preview);
        let found = new.into_iter().map(|text| async move {
            match look(directory, caller, kind, text).await? {
                Some(found) => Ok((text.clone(), found, false)),
                None => Ok((text.clone(), make(directory, caller, is_preview, kind, text).await?, true)),
            }
        });
        // Departments take the next number that is free, which two at a time would both take.
        let at_once = if kind == ItemKind::Department { 1 } else { AT_ONCE };
        let mut found = futures_util::stream::iter(found).buffered(at_once);
        while let Some(one) = found.next().await {
            match one {
                Ok((text, found, is_new)) => {
                    if is_new && matches!(kind, ItemKind::Group | ItemKind::Folder) {
                        self.made.push((kind, text.clone()));
                    }
                    self.remember(kind, &text, found);
                }
                // What cannot be made is said beside the rows that name it.
                Err(DirectoryError::Invalid(_)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    async fn make(&mut self, kind: ItemKind, name: &str) -> Result<Found, DirectoryError> {
        let found = make(self.directory, self.caller, self.is_preview, kind, name).await?;
        self.made.push((kind, name.to_owned()));
        Ok(self.remember(kind, name, found))
    }

    /// Notes what a text leads to from here on.
    pub(crate) fn remember(&mut self, kind: ItemKind, text: &str, found: Found) -> Found {
        if self.known.len() < REMEMBERED {
            self.known.insert((kind, text.to_owned()), found);
        }
        found
    }

    /// Whether a text is of something that would be made, in a preview.
    pub(crate) fn note_coming(&mut self, kind: ItemKind, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            self.known.entry((kind, text)).or_insert(Found::Coming);
        }
    }
}

/// The user whom a text names: by id, email, user name or external id.
pub(crate) async fn user(
    directory: &Directory,
    caller: &Caller,
    text: &str,
) -> Result<Option<UserId>, DirectoryError> {
    let id = Uuid::try_parse(text).ok().map(|id| UserKey::Id(UserId(id)));
    let others = [UserKey::Login(text.to_owned()), UserKey::ExternalId(text.to_owned())];
    for key in id.into_iter().chain(others) {
        match directory.user(caller, key).await {
            Ok(user) => return Ok(Some(user.id)),
            Err(DirectoryError::NoSuchUser) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

/// What a text leads to, if that is there.
async fn look(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    text: &str,
) -> Result<Option<Found>, DirectoryError> {
    let id = Uuid::try_parse(text).ok().map(|id| ItemKey::Id(ItemId(id)));
    let others = [ItemKey::ExternalId(text.to_owned()), ItemKey::Name(text.to_owned())];
    for key in id.into_iter().chain(others) {
        match directory.item(caller, kind, key).await {
            Ok(item) => return Ok(Some(Found::There(item.id()))),
            Err(DirectoryError::NoSuchItem(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

/// Makes a group or folder of a name.
async fn make(
    directory: &Directory,
    caller: &Caller,
    is_preview: bool,
    kind: ItemKind,
    name: &str,
) -> Result<Found, DirectoryError> {
    let given = FieldUpdate::Set(name.to_owned());
    let command = match kind {
        ItemKind::Folder => Command::CreateFolder(FolderEdit { name: given, ..FolderEdit::default() }),
        ItemKind::Organization => {
            Command::CreateOrganization(OrganizationEdit { name: given, ..OrganizationEdit::default() })
        }
        ItemKind::Department => Command::AddDepartment { name: name.to_owned(), number: None },
        _ => Command::CreateGroup(GroupEdit { name: given, ..GroupEdit::default() }),
    };
    if is_preview {
        directory.preview(caller, &command).await?;
        return Ok(Found::Coming);
    }
    let receipt = directory.run(caller, command).await?;
    let item = receipt.items.first().ok_or(DirectoryError::Internal("nothing was made".into()))?;
    Ok(Found::There(item.id()))
}
