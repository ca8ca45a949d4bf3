//! What groups, folders, organisations and roles are called in files, in both directions.
//!
//! A reference is an id, an external id or a name, tried in that order. What is written is the shortest of them that leads
//! back to the same thing: groups may share a name.

use directory::{
    Caller, Command, Directory, DirectoryError, FieldUpdate, FolderEdit, GroupEdit, Item, ItemId, ItemKey, ItemKind,
    ItemPageBoundary, ItemQuery, OrganizationEdit, UserId, UserKey, builtin_role_name,
};
use futures_util::StreamExt;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Items read at a time.
const PAGE_SIZE: u32 = 2_000;
/// References that are looked for at the same time.
const MAX_CONCURRENT_LOOKUPS: usize = 64;
/// References that are remembered; what comes behind is looked up each time.
const MAX_CACHED: usize = 500_000;

/// What things are called where they are written.
#[derive(Default)]
pub(crate) struct ItemNames {
    items: HashMap<ItemId, String>,
    roles: HashMap<u32, String>,
}

impl ItemNames {
    /// The names of everything a tenant's people refer to.
    pub(crate) async fn load(directory: &Directory, caller: &Caller) -> Result<Self, DirectoryError> {
        let mut names = Self::default();
        for kind in [ItemKind::Group, ItemKind::Folder, ItemKind::Organization] {
            // Who is found by a text: whoever claims it as an external id, else whoever is alone in being called so.
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

    /// What a group, folder or organisation is called; one that came since the names were read, by its id.
    pub(crate) fn name_or_id(&self, id: ItemId) -> String {
        self.name(id).map_or_else(|| id.to_string(), str::to_owned)
    }

    /// The same, where it is there.
    pub(crate) fn name(&self, id: ItemId) -> Option<&str> {
        self.items.get(&id).map(String::as_str)
    }

    pub(crate) fn role_name(&self, number: u32) -> String {
        let named = builtin_role_name(number).map(str::to_owned).or_else(|| self.roles.get(&number).cloned());
        named.unwrap_or_else(|| number.to_string())
    }
}

/// Every item of a kind, in order of number, a page at a time.
pub(crate) async fn for_each_item(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    mut visit: impl FnMut(&Item),
) -> Result<(), DirectoryError> {
    let mut bound = None;
    loop {
        let query = ItemQuery { limit: PAGE_SIZE, boundary: bound, ..ItemQuery::all(kind) };
        let page = directory.items(caller, query).await?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        bound = Some(ItemPageBoundary::After(last.number()));
        page.rows.iter().for_each(&mut visit);
    }
}

/// What a reference in a file leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemReference {
    /// It is there.
    Existing(ItemId),
    /// It is not, and would be made; previews only.
    Planned,
}

/// Finds what references lead to, and makes what is not there.
pub(crate) struct ReferenceResolver<'a> {
    directory: &'a Directory,
    caller: &'a Caller,
    /// Nothing is made.
    dry_run: bool,
    items: HashMap<(ItemKind, String), ItemReference>,
    /// Users by what rows call them.
    users: HashMap<String, UserId>,
    /// Names of what was made, or would be, in the order of their first mention.
    pub(crate) created: Vec<(ItemKind, String)>,
}

impl<'a> ReferenceResolver<'a> {
    pub(crate) fn new(directory: &'a Directory, caller: &'a Caller, is_preview: bool) -> Self {
        let (known, users) = (HashMap::new(), HashMap::new());
        Self { directory, caller, dry_run: is_preview, items: known, users, created: Vec::new() }
    }

    /// Looks up users, many at the same time.
    pub(crate) async fn prefetch_users(&mut self, texts: impl Iterator<Item = String>) -> Result<(), DirectoryError> {
        let uncached: HashSet<String> = texts.filter(|text| !self.users.contains_key(text)).collect();
        let (directory, caller) = (self.directory, self.caller);
        let found = uncached.into_iter().map(|text| async move {
            let user = find_user(directory, caller, &text).await?;
            Ok((text, user))
        });
        let mut found = futures_util::stream::iter(found).buffer_unordered(MAX_CONCURRENT_LOOKUPS);
        while let Some(one) = found.next().await {
            let (text, user) = one?;
            if let Some(user) = user.filter(|_| self.users.len() < MAX_CACHED) {
                self.users.insert(text, user);
            }
        }
        Ok(())
    }

    /// A user who was looked up and found.
    pub(crate) fn cached_user(&self, text: &str) -> Option<UserId> {
        self.users.get(text).copied()
    }

    /// What a text leads to, if that is there.
    pub(crate) async fn resolve(
        &mut self,
        kind: ItemKind,
        text: &str,
    ) -> Result<Option<ItemReference>, DirectoryError> {
        if let Some(found) = self.items.get(&(kind, text.to_owned())) {
            return Ok(Some(*found));
        }
        let found = find_item(self.directory, self.caller, kind, text).await?;
        Ok(found.map(|found| self.cache(kind, text, found)))
    }

    /// What texts lead to; groups and folders that are not there are made.
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

    /// Finds or makes what many texts lead to, a good many at the same time.
    pub(crate) async fn prefetch(
        &mut self,
        kind: ItemKind,
        texts: impl Iterator<Item = &String>,
    ) -> Result<(), DirectoryError> {
        let mut uncached: Vec<&String> =
            texts.filter(|text| !self.items.contains_key(&(kind, (*text).clone()))).collect();
        let mut seen = HashSet::new();
        // Names that differ in case only are one, which two at a time would both make.
        uncached.retain(|text| seen.insert(directory::identifier_key(text)));
        let (directory, caller, is_preview) = (self.directory, self.caller, self.dry_run);
        let found = uncached.into_iter().map(|text| async move {
            match find_item(directory, caller, kind, text).await? {
                Some(found) => Ok((text.clone(), found, false)),
                None => Ok((text.clone(), create_item(directory, caller, is_preview, kind, text).await?, true)),
            }
        });
        // Departments take the next number that is free, which two at a time would both take.
        let concurrency = if kind == ItemKind::Department { 1 } else { MAX_CONCURRENT_LOOKUPS };
        let mut found = futures_util::stream::iter(found).buffered(concurrency);
        while let Some(one) = found.next().await {
            match one {
                Ok((text, found, is_new)) => {
                    if is_new && matches!(kind, ItemKind::Group | ItemKind::Folder) {
                        self.created.push((kind, text.clone()));
                    }
                    self.cache(kind, &text, found);
                }
                // What cannot be made is said beside the rows that name it.
                Err(DirectoryError::Invalid(_)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    async fn create(&mut self, kind: ItemKind, name: &str) -> Result<ItemReference, DirectoryError> {
        let found = create_item(self.directory, self.caller, self.dry_run, kind, name).await?;
        self.created.push((kind, name.to_owned()));
        Ok(self.cache(kind, name, found))
    }

    /// Notes what a text leads to from here on.
    pub(crate) fn cache(&mut self, kind: ItemKind, text: &str, found: ItemReference) -> ItemReference {
        if self.items.len() < MAX_CACHED {
            self.items.insert((kind, text.to_owned()), found);
        }
        found
    }

    /// Whether a text is of something that would be made, in a preview.
    pub(crate) fn add_planned(&mut self, kind: ItemKind, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            self.items.entry((kind, text)).or_insert(ItemReference::Planned);
        }
    }
}

/// The user whom a text names: by id, email, user name or external id.
pub(crate) async fn find_user(
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
async fn find_item(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    text: &str,
) -> Result<Option<ItemReference>, DirectoryError> {
    let id = Uuid::try_parse(text).ok().map(|id| ItemKey::Id(ItemId(id)));
    let others = [ItemKey::ExternalId(text.to_owned()), ItemKey::Name(text.to_owned())];
    for key in id.into_iter().chain(others) {
        match directory.item(caller, kind, key).await {
            Ok(item) => return Ok(Some(ItemReference::Existing(item.id()))),
            Err(DirectoryError::NoSuchItem(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

/// Makes a group or folder of a name.
async fn create_item(
    directory: &Directory,
    caller: &Caller,
    is_preview: bool,
    kind: ItemKind,
    name: &str,
) -> Result<ItemReference, DirectoryError> {
    let name_update = FieldUpdate::Set(name.to_owned());
    let command = match kind {
        ItemKind::Folder => Command::CreateFolder(FolderEdit { name: name_update, ..FolderEdit::default() }),
        ItemKind::Organization => {
            Command::CreateOrganization(OrganizationEdit { name: name_update, ..OrganizationEdit::default() })
        }
        ItemKind::Department => Command::AddDepartment { name: name.to_owned(), number: None },
        _ => Command::CreateGroup(GroupEdit { name: name_update, ..GroupEdit::default() }),
    };
    if is_preview {
        directory.preview(caller, &command).await?;
        return Ok(ItemReference::Planned);
    }
    let receipt = directory.run(caller, command).await?;
    let item = receipt.items.first().ok_or(DirectoryError::Internal("nothing was made".into()))?;
    Ok(ItemReference::Existing(item.id()))
}
