//! Maps references (to groups, folders, organizations and roles) to items and back. A reference is an id, an external
//! id or a name, tried in this order. Exports write the shortest unambiguous one, since groups may share names.

use directory::{
    Caller, Command, Directory, DirectoryError, FieldUpdate, FolderEdit, GroupEdit, Item, ItemId, ItemKey, ItemKind,
    ItemPageBoundary, ItemQuery, OrganizationEdit, Receipt, UserId, UserKey, builtin_role_name,
};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

const PAGE_SIZE: u32 = 2_000;
/// References in the cache. Further ones are looked up each time.
const MAX_CACHED: usize = 500_000;

/// The references that exports write.
#[derive(Default)]
pub(crate) struct ItemNames {
    items: HashMap<ItemId, String>,
    roles: HashMap<u32, String>,
}

impl ItemNames {
    pub(crate) async fn load(directory: &Directory, caller: &Caller) -> Result<Self, DirectoryError> {
        let mut names = Self::default();
        for kind in [ItemKind::Group, ItemKind::Folder, ItemKind::Organization] {
            // A text resolves to the item with this external id, else to the only item with this name.
            let mut by_name: HashMap<String, Option<ItemId>> = HashMap::new();
            let mut by_external_id: HashMap<String, ItemId> = HashMap::new();
            let mut all: Vec<(ItemId, String, Option<String>)> = Vec::new();
            for_each_item(directory, caller, kind, |item| {
                let id_by_name = by_name.entry(Item::name_key(kind, item.name()));
                id_by_name.and_modify(|id| *id = None).or_insert(Some(item.id()));
                if let Some(key) = item.external_id() {
                    by_external_id.insert(key.to_owned(), item.id());
                }
                all.push((item.id(), item.name().to_owned(), item.external_id().map(str::to_owned)));
            })
            .await?;
            let resolves_to = |text: &str, id: ItemId| {
                let id_by_name = || by_name.get(&Item::name_key(kind, text)).copied().flatten();
                let found = by_external_id.get(text).copied().or_else(id_by_name);
                found == Some(id) && Uuid::try_parse(text).is_err() && !text.is_empty()
            };
            for (id, name, key) in all {
                let key = key.filter(|key| resolves_to(key, id));
                let text = if resolves_to(&name, id) { name } else { key.unwrap_or_else(|| id.to_string()) };
                names.items.insert(id, text);
            }
        }
        for_each_item(directory, caller, ItemKind::Role, |item| {
            names.roles.insert(item.number(), item.name().to_owned());
        })
        .await?;
        Ok(names)
    }

    /// The reference of a group, folder or organization; its id if it is newer than `self`.
    pub(crate) fn name_or_id(&self, id: ItemId) -> String {
        self.name(id).map_or_else(|| id.to_string(), str::to_owned)
    }

    pub(crate) fn name(&self, id: ItemId) -> Option<&str> {
        self.items.get(&id).map(String::as_str)
    }

    pub(crate) fn role_name(&self, number: u32) -> String {
        let named = builtin_role_name(number).map(str::to_owned).or_else(|| self.roles.get(&number).cloned());
        named.unwrap_or_else(|| number.to_string())
    }
}

/// Visits every item of a kind in order of number.
pub(crate) async fn for_each_item(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    mut visit: impl FnMut(&Item),
) -> Result<(), DirectoryError> {
    let mut bound = None;
    loop {
        let query = ItemQuery { limit: PAGE_SIZE, boundary: bound, ..ItemQuery::all(kind) };
        let page = directory.find_items(caller, query).await?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        bound = Some(ItemPageBoundary::After(last.number()));
        page.rows.iter().for_each(&mut visit);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemReference {
    Existing(ItemId),
    /// It does not exist and would be created (dry runs only).
    Planned,
}

/// Resolves references, and creates items that do not exist.
pub(crate) struct ReferenceResolver<'a> {
    directory: &'a Directory,
    caller: &'a Caller,
    dry_run: bool,
    items: HashMap<(ItemKind, String), ItemReference>,
    /// Resolved users by reference.
    users: HashMap<String, UserId>,
    /// Names of items that were created, or would be, in the order of their first mention.
    pub(crate) created: Vec<(ItemKind, String)>,
}

impl<'a> ReferenceResolver<'a> {
    pub(crate) fn new(directory: &'a Directory, caller: &'a Caller, is_preview: bool) -> Self {
        let (known, users) = (HashMap::new(), HashMap::new());
        Self { directory, caller, dry_run: is_preview, items: known, users, created: Vec::new() }
    }

    pub(crate) async fn prefetch_users(&mut self, texts: impl Iterator<Item = String>) -> Result<(), DirectoryError> {
        let uncached: HashSet<String> = texts.filter(|text| !self.users.contains_key(text)).collect();
        let uncached: Vec<String> = uncached.into_iter().collect();
        let found = find_users(self.directory, self.caller, &uncached).await?;
        for (text, user) in uncached.into_iter().zip(found) {
            if let Some(user) = user.filter(|_| self.users.len() < MAX_CACHED) {
                self.users.insert(text, user);
            }
        }
        Ok(())
    }

    pub(crate) fn cached_user(&self, text: &str) -> Option<UserId> {
        self.users.get(text).copied()
    }

    pub(crate) async fn resolve(
        &mut self,
        kind: ItemKind,
        text: &str,
    ) -> Result<Option<ItemReference>, DirectoryError> {
        if let Some(found) = self.items.get(&(kind, text.to_owned())) {
            return Ok(Some(*found));
        }
        let found = find_items(self.directory, self.caller, kind, &[text]).await?.pop().flatten();
        Ok(found.map(|found| self.cache(kind, text, found)))
    }

    /// Resolves references; groups and folders that do not exist are created.
    pub(crate) async fn resolve_or_create(
        &mut self,
        kind: ItemKind,
        texts: &[String],
    ) -> Result<Vec<ItemReference>, DirectoryError> {
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            all.push(match self.resolve(kind, text).await? {
                Some(found) => found,
                None => self.create(kind, text).await?,
            });
        }
        Ok(all)
    }

    /// Resolves many references, and creates those that do not exist, concurrently.
    pub(crate) async fn prefetch(
        &mut self,
        kind: ItemKind,
        texts: impl Iterator<Item = &String>,
    ) -> Result<(), DirectoryError> {
        let mut uncached: Vec<&String> =
            texts.filter(|text| !self.items.contains_key(&(kind, (*text).clone()))).collect();
        let mut seen = HashSet::new();
        // Names that differ only in case are the same item, which must not be created twice.
        uncached.retain(|text| seen.insert(directory::identifier_key(text)));
        let (directory, caller, is_preview) = (self.directory, self.caller, self.dry_run);
        let existing = find_items(directory, caller, kind, &uncached).await?;
        let (mut missing, mut commands) = (Vec::new(), Vec::new());
        for (text, existing) in uncached.into_iter().zip(existing) {
            if let Some(found) = existing {
                self.cache(kind, text, found);
            } else {
                missing.push(text);
                commands.push(create_command(kind, text));
            }
        }
        let created = match kind {
            _ if is_preview => preview_all(directory, caller, commands).await,
            // A new department takes the next free number, so departments are created one by one.
            ItemKind::Department => {
                let mut created = Vec::new();
                for command in commands {
                    created.push(directory.run(caller, command).await.and_then(|done| created_item(&done)));
                }
                created
            }
            _ => {
                let done = directory
                    .run_all(commands.into_iter().map(|command| (caller, command)).collect())
                    .await
                    .into_iter();
                done.map(|done| done.and_then(|done| created_item(&done))).collect()
            }
        };
        for (text, created) in missing.into_iter().zip(created) {
            match created {
                Ok(item) => {
                    if matches!(kind, ItemKind::Group | ItemKind::Folder) {
                        self.created.push((kind, text.clone()));
                    }
                    self.cache(kind, text, item);
                }
                // The rows with this reference report the error.
                Err(DirectoryError::Invalid(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn create(&mut self, kind: ItemKind, name: &str) -> Result<ItemReference, DirectoryError> {
        let found = create_item(self.directory, self.caller, self.dry_run, kind, name).await?;
        self.created.push((kind, name.to_owned()));
        Ok(self.cache(kind, name, found))
    }

    pub(crate) fn cache(&mut self, kind: ItemKind, text: &str, found: ItemReference) -> ItemReference {
        if self.items.len() < MAX_CACHED {
            self.items.insert((kind, text.to_owned()), found);
        }
        found
    }

    /// Adds the references of an item that would be created (dry runs only).
    pub(crate) fn add_planned(&mut self, kind: ItemKind, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            self.items.entry((kind, text)).or_insert(ItemReference::Planned);
        }
    }
}

/// Finds a user by id, email, user name or external id.
pub(crate) async fn find_user(
    directory: &Directory,
    caller: &Caller,
    text: &str,
) -> Result<Option<UserId>, DirectoryError> {
    Ok(find_users(directory, caller, &[text]).await?.pop().flatten())
}

async fn find_users(
    directory: &Directory,
    caller: &Caller,
    texts: &[impl AsRef<str>],
) -> Result<Vec<Option<UserId>>, DirectoryError> {
    let keys = |text: &str| {
        let id = Uuid::try_parse(text).ok().map(|id| UserKey::Id(UserId(id)));
        id.into_iter().chain([UserKey::Login(text.to_owned()), UserKey::ExternalId(text.to_owned())])
    };
    let found = directory.users(caller, texts.iter().flat_map(|text| keys(text.as_ref())).collect()).await?;
    let mut found = found.into_iter().map(|user| user.map(|user| user.id));
    Ok(texts.iter().map(|text| first_of(&mut found, keys(text.as_ref()).count())).collect())
}

async fn find_items(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    texts: &[impl AsRef<str>],
) -> Result<Vec<Option<ItemReference>>, DirectoryError> {
    let keys = |text: &str| {
        let id = Uuid::try_parse(text).ok().map(|id| ItemKey::Id(ItemId(id)));
        let keys = id.into_iter().chain([ItemKey::ExternalId(text.to_owned()), ItemKey::Name(text.to_owned())]);
        keys.map(move |key| (kind, key))
    };
    let all_keys: Vec<_> = texts.iter().flat_map(|text| keys(text.as_ref())).collect();
    let found = directory.map_items(caller, &all_keys, |item| ItemReference::Existing(item.id())).await?;
    let mut found = found.into_iter();
    Ok(texts.iter().map(|text| first_of(&mut found, keys(text.as_ref()).count())).collect())
}

/// The first that was found of the next `count`.
fn first_of<T>(found: &mut impl Iterator<Item = Option<T>>, count: usize) -> Option<T> {
    found.take(count).fold(None, Option::or)
}

/// Creates an item with a name.
async fn create_item(
    directory: &Directory,
    caller: &Caller,
    is_preview: bool,
    kind: ItemKind,
    name: &str,
) -> Result<ItemReference, DirectoryError> {
    let command = create_command(kind, name);
    if is_preview {
        directory.preview(caller, &command).await?;
        return Ok(ItemReference::Planned);
    }
    created_item(&directory.run(caller, command).await?)
}

fn create_command(kind: ItemKind, name: &str) -> Command {
    let name_update = FieldUpdate::Set(name.to_owned());
    match kind {
        ItemKind::Folder => Command::CreateFolder(FolderEdit { name: name_update, ..FolderEdit::default() }),
        ItemKind::Organization => {
            Command::CreateOrganization(OrganizationEdit { name: name_update, ..OrganizationEdit::default() })
        }
        ItemKind::Department => Command::AddDepartment { name: name.to_owned(), number: None },
        _ => Command::CreateGroup(GroupEdit { name: name_update, ..GroupEdit::default() }),
    }
}

fn created_item(receipt: &Receipt) -> Result<ItemReference, DirectoryError> {
    let item = receipt.items.first().ok_or(DirectoryError::Internal("no item was created".into()))?;
    Ok(ItemReference::Existing(item.id()))
}

async fn preview_all(
    directory: &Directory,
    caller: &Caller,
    commands: Vec<Command>,
) -> Vec<Result<ItemReference, DirectoryError>> {
    let mut planned = Vec::new();
    for command in commands {
        planned.push(directory.preview(caller, &command).await.map(|_| ItemReference::Planned));
    }
    planned
}
