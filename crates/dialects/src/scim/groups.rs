//! Handlers of `/Groups`. Members are separate rows: they are read in chunks where they are returned, and
//! changing some members never reads the others.

use super::patch::PatchOperation;
use super::projection::Projection;
use super::tree::Normalizer;
use super::users::{check_if_match, no_content, not_modified};
use super::wire::{GROUP_TYPE, USER_TYPE};
use super::{read, tree, write};
use crate::kit::{
    AppState, BodyUse, Chunk, ChunkSource, DialectRequest, DialectResponse, Node, Object, RequestError, ResponseBody,
    json,
};
use bytes::Bytes;
use directory::{BoxFuture, Caller, Command, Directory, DirectoryError, GroupEdit, Item, ItemId, ItemKey, ItemKind};
use http::StatusCode;
use std::collections::VecDeque;
use std::sync::Arc;

const MEMBERS_PER_READ: u32 = 1_000;
/// Longer responses are streamed.
const MAX_BUFFERED_BYTES: usize = 65_536;

pub(super) async fn create(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let projection = Projection::from_query(request, &GROUP_TYPE)?;
    let edit = read::group_edit(&read::parse_resource(request, &GROUP_TYPE)?, BodyUse::Create)?;
    let receipt = state.directory.run(request.caller()?, Command::CreateGroup(edit)).await?;
    let item = receipt.items.into_iter().next().ok_or(DirectoryError::NoSuchItem(ItemKind::Group))?;
    group_response(state, request, StatusCode::CREATED, &item, &projection).await
}

pub(super) async fn get(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let projection = Projection::from_query(request, &GROUP_TYPE)?;
    let item = addressed_group(state, request).await?;
    let etag = write::group_etag(&item);
    if read::matches_etag(request, "if-none-match", &etag) == Some(true) {
        return Ok(not_modified(&etag));
    }
    group_response(state, request, StatusCode::OK, &item, &projection).await
}

pub(super) async fn replace(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let projection = Projection::from_query(request, &GROUP_TYPE)?;
    let edit = read::group_edit(&read::parse_resource(request, &GROUP_TYPE)?, BodyUse::Replace)?;
    let item = if let Some(item) = committed_group(state, request).await? {
        item
    } else {
        let before = addressed_group(state, request).await?;
        change_group(state, request, before, |_| Ok(edit.clone())).await?
    };
    group_response(state, request, StatusCode::OK, &item, &projection).await
}

/// Answers 204 unless `attributes` is given (RFC 7644 section 3.5.2), so that the cost of adding a member does
/// not depend on the size of the group.
pub(super) async fn modify(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let projection = Projection::from_query(request, &GROUP_TYPE)?;
    let normalizer = read::normalizer(request, &GROUP_TYPE);
    let operations = read::patch_operations(request, &normalizer)?;
    let item = match committed_group(state, request).await? {
        Some(item) => item,
        None => patch_group(state, request, &operations, &normalizer).await?,
    };
    request.count_ignored(normalizer.ignored_count());
    if projection.is_explicit() {
        return group_response(state, request, StatusCode::OK, &item, &projection).await;
    }
    Ok(write::with_resource_headers(no_content(), None, &write::group_etag(&item)))
}

async fn patch_group(
    state: &AppState,
    request: &DialectRequest,
    operations: &[PatchOperation],
    normalizer: &Normalizer,
) -> Result<Item, RequestError> {
    let needs_all_members = read::needs_all_members(operations, normalizer)?;
    let before = addressed_group(state, request).await?;
    let mut all_members = Vec::new();
    if needs_all_members {
        let members = state.directory.members(request.caller()?, before.id()).await?;
        all_members.extend(members.into_iter().map(|(id, _)| id));
    }
    let patch = |before: &Object| read::group_patch(before, &all_members, operations, normalizer);
    change_group(state, request, before, patch).await
}

/// The group of an operation that an earlier attempt of a bulk request has committed.
async fn committed_group(state: &AppState, request: &DialectRequest) -> Result<Option<Item>, RequestError> {
    let Some(receipt) = state.directory.committed_receipt(request.caller()?).await? else { return Ok(None) };
    let item = receipt.items.into_iter().next();
    Ok(Some(item.ok_or(DirectoryError::NoSuchItem(ItemKind::Group))?))
}

pub(super) async fn delete(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    if state.directory.committed_receipt(request.caller()?).await?.is_some() {
        return Ok(no_content());
    }
    let key = read::group_key(request.path_param(0));
    let mut command = Command::DeleteItem { kind: ItemKind::Group, item: key.clone() };
    if request.headers.contains_key("if-match") {
        let item = state.directory.item(request.caller()?, ItemKind::Group, key).await?;
        check_if_match(request, &write::group_etag(&item))?;
        command = Command::IfVersion(item.version(), Box::new(command));
    }
    state.directory.run(request.caller()?, command).await?;
    Ok(no_content())
}

async fn addressed_group(state: &AppState, request: &DialectRequest) -> Result<Item, RequestError> {
    let key = read::group_key(request.path_param(0));
    Ok(state.directory.item(request.caller()?, ItemKind::Group, key).await?)
}

async fn change_group(
    state: &AppState,
    request: &DialectRequest,
    item: Item,
    change: impl Fn(&Object) -> Result<GroupEdit, RequestError> + Send,
) -> Result<Item, RequestError> {
    check_if_match(request, &write::group_etag(&item))?;
    let before = match tree::from_output(&write::group(&write::base_url(request), &item, &Projection::default())) {
        Node::Object(written) => read::normalize_stored(&written, &GROUP_TYPE)?,
        _ => Object::default(),
    };
    let mut command = Command::UpdateGroup { group: ItemKey::Id(item.id()), edit: change(&before)? };
    if request.headers.contains_key("if-match") {
        command = Command::IfVersion(item.version(), Box::new(command));
    }
    let receipt = state.directory.run(request.caller()?, command).await?;
    Ok(receipt.items.into_iter().next().unwrap_or(item))
}

async fn group_response(
    state: &AppState,
    request: &DialectRequest,
    status: StatusCode,
    item: &Item,
    projection: &Projection,
) -> Result<DialectResponse, RequestError> {
    let base = write::base_url(request);
    let mut stream = JsonStream::new(state, request, projection)?;
    stream.push_group(item, projection);
    let mut response = write::raw_response(request, stream.content().await?);
    *response.status_mut() = status;
    let location = write::location(&base, &GROUP_TYPE, &item.id().to_string());
    Ok(write::with_resource_headers(response, Some(&location), &write::group_etag(item)))
}

pub(super) struct JsonStream {
    queue: VecDeque<Segment>,
    directory: Arc<Directory>,
    caller: Caller,
    base: String,
    sub_attributes: Vec<&'static str>,
}

enum Segment {
    Text(String),
    /// Members of a group after this number; 0 starts with the first.
    Members(ItemId, u32),
}

impl JsonStream {
    pub(super) fn new(
        state: &AppState,
        request: &DialectRequest,
        projection: &Projection,
    ) -> Result<Self, RequestError> {
        let is_shown = |part: &&str| projection.includes_sub_attribute("members", part);
        Ok(Self {
            queue: VecDeque::new(),
            directory: Arc::clone(&state.directory),
            caller: request.caller()?.clone(),
            base: write::base_url(request),
            sub_attributes: ["value", "$ref", "type"].into_iter().filter(is_shown).collect(),
        })
    }

    pub(super) fn push_text(&mut self, text: &str) {
        match self.queue.back_mut() {
            Some(Segment::Text(last)) => last.push_str(text),
            _ => self.queue.push_back(Segment::Text(text.to_owned())),
        }
    }

    pub(super) fn push_group(&mut self, item: &Item, projection: &Projection) {
        let written = json::write(&write::group(&self.base, item, projection));
        if self.sub_attributes.is_empty() {
            self.push_text(&written);
            return;
        }
        self.push_text(written.strip_suffix('}').unwrap_or(&written));
        self.push_text(",\"members\":[");
        self.queue.push_back(Segment::Members(item.id(), 0));
        self.push_text("]}");
    }

    pub(super) async fn content(mut self) -> Result<ResponseBody, RequestError> {
        let mut buffer = String::new();
        while buffer.len() < MAX_BUFFERED_BYTES {
            match self.piece().await? {
                Some(text) => buffer.push_str(&text),
                None => return Ok(ResponseBody::from(buffer)),
            }
        }
        self.queue.push_front(Segment::Text(buffer));
        Ok(ResponseBody::streamed(Box::new(self)))
    }

    async fn piece(&mut self) -> Result<Option<String>, DirectoryError> {
        let (item, after) = match self.queue.pop_front() {
            None => return Ok(None),
            Some(Segment::Text(text)) => return Ok(Some(text)),
            Some(Segment::Members(item, after)) => (item, after),
        };
        let found = self.directory.members_after(&self.caller, item, after, MEMBERS_PER_READ).await?;
        if let (Some((_, last)), true) = (found.last(), found.len() == MEMBERS_PER_READ as usize) {
            self.queue.push_front(Segment::Members(item, *last));
        }
        Ok(Some(members_json(&self.base, &found, &self.sub_attributes, after == 0)))
    }
}

impl ChunkSource for JsonStream {
    fn next_chunk(mut self: Box<Self>) -> BoxFuture<'static, Result<Option<Chunk>, DirectoryError>> {
        Box::pin(async move {
            loop {
                match self.piece().await? {
                    None => return Ok(None),
                    Some(text) if text.is_empty() => {}
                    Some(text) => return Ok(Some((Bytes::from(text), self as _))),
                }
            }
        })
    }
}

fn members_json(base: &str, members: &[(directory::UserId, u32)], sub_attributes: &[&str], is_first: bool) -> String {
    let mut text = String::with_capacity(members.len() * 160);
    for (n, (id, _)) in members.iter().enumerate() {
        if n > 0 || !is_first {
            text.push(',');
        }
        let id = id.to_string();
        for (n, part) in sub_attributes.iter().enumerate() {
            text.push_str(if n == 0 { "{" } else { "," });
            let value = match *part {
                "value" => json::quote(&id),
                "$ref" => json::quote(&write::location(base, &USER_TYPE, &id)),
                _ => json::quote("User"),
            };
            text.push_str(&format!("\"{part}\":{value}"));
        }
        text.push('}');
    }
    text
}
