//! What the routes of `/Groups` do. Members are rows of their own: they are read only where they are shown, a piece at
//! a time, and a change of some never looks at the others.

use super::select::Selection;
use super::users::{must_match, not_modified, nothing};
use super::wire::{GROUPS, USERS};
use super::{read, tree, write};
use crate::kit::{
    AppState, Chunk, ChunkSource, DialectRequest, DialectResponse, Node, Object, RequestError, ResponseBody,
    json,
};
use bytes::Bytes;
use directory::{
    BoxFuture, Caller, Command, Directory, DirectoryError, GroupEdit, Item, ItemId, ItemKey, ItemKind,
};
use http::StatusCode;
use std::collections::VecDeque;
use std::sync::Arc;

/// Members per piece.
const PIECE: u32 = 1_000;
/// Up to how many bytes an answer is put together before any of it is sent.
const WHOLE: usize = 65_536;

pub(super) async fn create(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &GROUPS)?;
    let edit = read::group_edit(&read::resource(call, &GROUPS)?, true)?;
    let receipt = desk.directory.run(call.caller()?, Command::CreateGroup(edit)).await?;
    let item = receipt.items.into_iter().next().ok_or(DirectoryError::NoSuchItem(ItemKind::Group))?;
    answer(desk, call, StatusCode::CREATED, &item, &selection).await
}

pub(super) async fn get(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &GROUPS)?;
    let item =
        desk.directory.item(call.caller()?, ItemKind::Group, read::group_key(call.path_param(0))).await?;
    let etag = write::etag_of_group(&item);
    if read::matching(call, "if-none-match", &etag) == Some(true) {
        return Ok(not_modified(&etag));
    }
    answer(desk, call, StatusCode::OK, &item, &selection).await
}

pub(super) async fn replace(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &GROUPS)?;
    let edit = read::group_edit(&read::resource(call, &GROUPS)?, false)?;
    let item = change_group(desk, call, |_| Ok(edit.clone())).await?;
    answer(desk, call, StatusCode::OK, &item, &selection).await
}

/// Answers 204 unless attributes were asked for (RFC 7644 section 3.5.2): what one member costs must not depend on how
/// many there are.
pub(super) async fn modify(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &GROUPS)?;
    let former = read::former(call, &GROUPS);
    let operations = read::operations(call, &former)?;
    let mut everybody = Vec::new();
    if read::needs_everybody(&operations, &former)? {
        let item =
            desk.directory.item(call.caller()?, ItemKind::Group, read::group_key(call.path_param(0))).await?;
        let members = desk.directory.members(call.caller()?, item.id()).await?;
        everybody.extend(members.into_iter().map(|(id, _)| id));
    }
    let patch = |before: &Object| read::group_patch(before, &everybody, &operations, &former);
    let item = change_group(desk, call, patch).await?;
    call.count_ignored(former.ignored());
    if selection.is_explicit() {
        return answer(desk, call, StatusCode::OK, &item, &selection).await;
    }
    Ok(write::with_head(nothing(), None, &write::etag_of_group(&item)))
}

pub(super) async fn delete(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let key = read::group_key(call.path_param(0));
    let mut command = Command::DeleteItem { kind: ItemKind::Group, item: key.clone() };
    if call.headers.contains_key("if-match") {
        let item = desk.directory.item(call.caller()?, ItemKind::Group, key).await?;
        must_match(call, &write::etag_of_group(&item))?;
        command = Command::IfVersion(item.version(), Box::new(command));
    }
    desk.directory.run(call.caller()?, command).await?;
    Ok(nothing())
}

async fn change_group(
    desk: &AppState,
    call: &DialectRequest,
    change: impl Fn(&Object) -> Result<GroupEdit, RequestError> + Send,
) -> Result<Item, RequestError> {
    let caller = call.caller()?;
    let item = desk.directory.item(caller, ItemKind::Group, read::group_key(call.path_param(0))).await?;
    must_match(call, &write::etag_of_group(&item))?;
    let before = match tree::of_out(&write::group(&write::base(call), &item, &Selection::default())) {
        Node::Object(written) => read::stored(&written, &GROUPS)?,
        _ => Object::default(),
    };
    let mut command = Command::UpdateGroup { group: ItemKey::Id(item.id()), edit: change(&before)? };
    if call.headers.contains_key("if-match") {
        command = Command::IfVersion(item.version(), Box::new(command));
    }
    let receipt = desk.directory.run(caller, command).await?;
    Ok(receipt.items.into_iter().next().unwrap_or(item))
}

async fn answer(
    desk: &AppState,
    call: &DialectRequest,
    status: StatusCode,
    item: &Item,
    selection: &Selection,
) -> Result<DialectResponse, RequestError> {
    let base = write::base(call);
    let mut pieces = Pieces::new(desk, call, selection)?;
    pieces.group(item, selection);
    let mut answer = write::raw(call, pieces.content().await?);
    *answer.status_mut() = status;
    let location = write::location(&base, &GROUPS, &item.id().to_string());
    Ok(write::with_head(answer, Some(&location), &write::etag_of_group(item)))
}

/// JSON that is put together of text and of members that are read when their turn comes.
pub(super) struct Pieces {
    queue: VecDeque<Piece>,
    directory: Arc<Directory>,
    caller: Caller,
    base: String,
    /// What is shown of a member.
    parts: Vec<&'static str>,
}

enum Piece {
    Text(String),
    /// The members of a group behind a number; 0 begins with the first.
    Members(ItemId, u32),
}

impl Pieces {
    pub(super) fn new(
        desk: &AppState,
        call: &DialectRequest,
        selection: &Selection,
    ) -> Result<Self, RequestError> {
        let is_shown = |part: &&str| selection.shows_part("members", part);
        Ok(Self {
            queue: VecDeque::new(),
            directory: Arc::clone(&desk.directory),
            caller: call.caller()?.clone(),
            base: write::base(call),
            parts: ["value", "$ref", "type"].into_iter().filter(is_shown).collect(),
        })
    }

    pub(super) fn text(&mut self, text: &str) {
        match self.queue.back_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.queue.push_back(Piece::Text(text.to_owned())),
        }
    }

    /// A whole group; its members are read when their turn comes.
    pub(super) fn group(&mut self, item: &Item, selection: &Selection) {
        let written = json::write(&write::group(&self.base, item, selection));
        if self.parts.is_empty() {
            self.text(&written);
            return;
        }
        self.text(written.strip_suffix('}').unwrap_or(&written));
        self.text(",\"members\":[");
        self.queue.push_back(Piece::Members(item.id(), 0));
        self.text("]}");
    }

    /// The body: whole where it is short, and else in parts as somebody reads them.
    pub(super) async fn content(mut self) -> Result<ResponseBody, RequestError> {
        let mut whole = String::new();
        while whole.len() < WHOLE {
            match self.piece().await? {
                Some(text) => whole.push_str(&text),
                None => return Ok(ResponseBody::from(whole)),
            }
        }
        self.queue.push_front(Piece::Text(whole));
        Ok(ResponseBody::streamed(Box::new(self)))
    }

    async fn piece(&mut self) -> Result<Option<String>, DirectoryError> {
        let (item, after) = match self.queue.pop_front() {
            None => return Ok(None),
            Some(Piece::Text(text)) => return Ok(Some(text)),
            Some(Piece::Members(item, after)) => (item, after),
        };
        let found = self.directory.members_after(&self.caller, item, after, PIECE).await?;
        if let (Some((_, last)), true) = (found.last(), found.len() == PIECE as usize) {
            self.queue.push_front(Piece::Members(item, *last));
        }
        Ok(Some(members(&self.base, &found, &self.parts, after == 0)))
    }
}

impl ChunkSource for Pieces {
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

fn members(base: &str, found: &[(directory::UserId, u32)], parts: &[&str], is_first: bool) -> String {
    let mut text = String::with_capacity(found.len() * 160);
    for (n, (id, _)) in found.iter().enumerate() {
        if n > 0 || !is_first {
            text.push(',');
        }
        let id = id.to_string();
        for (n, part) in parts.iter().enumerate() {
            text.push_str(if n == 0 { "{" } else { "," });
            let value = match *part {
                "value" => json::quote(&id),
                "$ref" => json::quote(&write::location(base, &USERS, &id)),
                _ => json::quote("User"),
            };
            text.push_str(&format!("\"{part}\":{value}"));
        }
        text.push('}');
    }
    text
}
