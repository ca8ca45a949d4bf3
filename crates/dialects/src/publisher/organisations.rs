//! What the routes of organisations do. There are no groups of organisations: no call could make one.

use super::groups::sort_items;
use super::{read, status, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, Node, OutputValue, RequestError, boolean_of};
use directory::{
    Command, DirectoryError, FieldErrorKind, Item, ItemKind, ItemPredicate, ItemQuery, Organization,
    OrganizationEdit, OrganizationStatus, Receipt, User, UserPredicate, UserQuery, fold,
};
use std::collections::HashSet;

const NONE: DirectoryError = DirectoryError::NoSuchItem(ItemKind::Organization);

pub(super) async fn get(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let item = desk.directory.item(call.caller()?, ItemKind::Organization, read::item_key(call)).await?;
    let out = whole(desk, call, organisation_of(&item)?).await?;
    Ok(write::ok(call, "organisation", out))
}

pub(super) async fn create(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::CreateOrganization(read::organisation_edit(call)?);
    summary(call, &desk.directory.run(call.caller()?, command).await?)
}

pub(super) async fn update(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change(desk, call, read::organisation_edit(call)?).await
}

pub(super) async fn add_domain(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    change(desk, call, read::domain(call)?).await
}

pub(super) async fn activate(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    change(desk, call, moved(OrganizationStatus::Active)).await
}
pub(super) async fn disable(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change(desk, call, moved(OrganizationStatus::Disabled)).await
}
pub(super) async fn archive(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change(desk, call, moved(OrganizationStatus::Archived)).await
}
pub(super) async fn activate_all(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    move_all(desk, call, OrganizationStatus::Active).await
}
pub(super) async fn disable_all(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    move_all(desk, call, OrganizationStatus::Disabled).await
}

fn moved(status: OrganizationStatus) -> OrganizationEdit {
    OrganizationEdit { status: Some(status), ..OrganizationEdit::default() }
}

async fn change(
    desk: &AppState,
    call: &DialectRequest,
    edit: OrganizationEdit,
) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateOrganizations { organizations: vec![read::item_key(call)], edit };
    summary(call, &desk.directory.run(call.caller()?, command).await?)
}

async fn move_all(
    desk: &AppState,
    call: &DialectRequest,
    to: OrganizationStatus,
) -> Result<DialectResponse, RequestError> {
    let organisations = read::bulk_organisations(call)?;
    let command = Command::UpdateOrganizations { organizations: organisations, edit: moved(to) };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    let short = |item: &Item| write::named_summary(call, "organisations", item.number(), item.name());
    let rows: Vec<OutputValue> = receipt.items.iter().map(short).collect();
    let total = rows.len() as u64;
    Ok(write::page(call, "organisations", "organisation", rows, total, 0))
}

fn summary(call: &DialectRequest, receipt: &Receipt) -> Result<DialectResponse, RequestError> {
    let item = receipt.items.first().ok_or(NONE)?;
    let out = write::named_summary(call, "organisations", item.number(), item.name());
    Ok(write::ok(call, "organisation", out))
}

async fn whole(
    desk: &AppState,
    call: &DialectRequest,
    organisation: &Organization,
) -> Result<OutputValue, RequestError> {
    let users = desk.directory.members(call.caller()?, organisation.id).await?;
    let numbers: Vec<u32> = users.into_iter().map(|(_, number)| number).collect();
    Ok(write::organisation(organisation, &numbers))
}

pub(super) async fn list(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (offset, limit) = read::page(call, 200)?;
    let now = desk.directory.now();
    let mut query = ItemQuery::all(ItemKind::Organization);
    query
        .predicates
        .extend(read::span(call, &["createddate", "createddatetime"], now)?.map(ItemPredicate::Created));
    query.predicates.extend(read::span(call, &["modifieddate"], now)?.map(ItemPredicate::Updated));
    let mut all = desk.directory.items(call.caller()?, query).await?.rows;
    let filter = Filter::of(desk, call).await?;
    all.retain(|item| organisation_of(item).is_ok_and(|organisation| filter.matches(organisation)));
    sort_items(call, &mut all, |item, field| match (item, field) {
        (Item::Organization(o), "status") => Some(status::organisation_word(o.status).to_owned()),
        (Item::Organization(o), "url") => Some(o.url.as_deref().map_or_else(String::new, fold)),
        _ => None,
    })?;
    let total = all.len() as u64;
    let fields = read::list(call, "fields")?;
    let mut rows = Vec::new();
    for item in all.iter().skip(offset as usize).take(limit as usize) {
        rows.push(match &fields {
            None => write::named_summary(call, "organisations", item.number(), item.name()),
            Some(fields) => {
                let whole = whole(desk, call, organisation_of(item)?).await?;
                let is_all = fields.iter().any(|field| field.eq_ignore_ascii_case("all"));
                if is_all { whole } else { write::chosen(&whole, fields) }
            }
        });
    }
    let page = offset.checked_div(limit).unwrap_or(0);
    Ok(write::page(call, "organisations", "organisation", rows, total, page))
}

/// What a list of organisations is narrowed by.
#[derive(Default)]
struct Filter {
    domains: Option<Vec<String>>,
    auto_login: Option<bool>,
    homepage: Option<u32>,
    industry: Option<u32>,
    category: Option<u32>,
    located: Option<HashSet<directory::ItemId>>,
    search: Option<String>,
    status: Option<OrganizationStatus>,
}

impl Filter {
    async fn of(desk: &AppState, call: &DialectRequest) -> Result<Self, RequestError> {
        let number = |name: &'static str| {
            let text = call.query.get(name);
            text.map(|t| {
                t.trim()
                    .parse::<u32>()
                    .map_err(|_| RequestError::invalid_member(name, FieldErrorKind::Malformed))
            })
            .transpose()
        };
        let auto_login = call.query.get("autologin").map(|text| boolean_of(&Node::Text(text.to_owned())));
        let auto_login =
            auto_login.transpose().map_err(|rule| RequestError::invalid_member("autologin", rule))?.flatten();
        let word = call.query.get("status");
        let status = word.map(|w| {
            status::of_organisation(w)
                .ok_or_else(|| RequestError::invalid_member("status filter", FieldErrorKind::Malformed))
        });
        let folded = |list: Vec<String>| list.iter().map(|text| fold(text)).collect::<Vec<String>>();
        let mut located = None;
        if let Some(places) = read::list(call, "locations")? {
            let tests = vec![UserPredicate::AddressContains(folded(places))];
            let query = UserQuery { predicates: tests, limit: u32::MAX, ..UserQuery::default() };
            let users: Vec<User> = desk.directory.users(call.caller()?, query).await?.rows;
            located = Some(users.iter().filter_map(|user| user.organization).collect());
        }
        Ok(Self {
            domains: read::list(call, "domain")?.map(folded),
            auto_login,
            homepage: number("homepage")?,
            industry: number("industry")?,
            category: number("category")?,
            located,
            search: call.query.get("search").map(fold),
            status: status.transpose()?,
        })
    }

    fn matches(&self, organisation: &Organization) -> bool {
        let same = |wanted: Option<u32>, has: Option<u32>| wanted.is_none() || wanted == has;
        let texts = || {
            let url = organisation.url.as_deref();
            [Some(organisation.name.as_str()), url]
                .into_iter()
                .flatten()
                .chain(organisation.domains.iter().map(String::as_str))
        };
        self.domains.as_ref().is_none_or(|wanted| organisation.domains.iter().any(|d| wanted.contains(d)))
            && self.auto_login.is_none_or(|wanted| wanted == organisation.auto_login)
            && same(self.homepage, organisation.homepage)
            && same(self.industry, organisation.industry)
            && same(self.category, organisation.category)
            && self.located.as_ref().is_none_or(|ids| ids.contains(&organisation.id))
            && self.search.as_ref().is_none_or(|part| texts().any(|text| fold(text).contains(part)))
            && self.status.is_none_or(|wanted| wanted == organisation.status)
    }
}

pub(super) async fn list_groups(
    _: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let (offset, limit) = read::page(call, 20)?;
    let page = offset.checked_div(limit).unwrap_or(0);
    Ok(write::page(call, "organisationgroups", "organisationgroup", Vec::new(), 0, page))
}

pub(super) async fn get_group(_: &AppState, _: &DialectRequest) -> Result<DialectResponse, RequestError> {
    Err(RequestError::NoRoute)
}

fn organisation_of(item: &Item) -> Result<&Organization, RequestError> {
    if let Item::Organization(organisation) = item { Ok(organisation) } else { Err(NONE.into()) }
}
