//! Handlers of organizations. There are no organization groups, since no call creates one.

use super::groups::{list_rows, sort_items};
use super::{read, status, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, Node, OutputValue, RequestError, boolean_of};
use directory::{
    Command, DirectoryError, FieldErrorKind, Item, ItemKind, ItemPredicate, ItemQuery, Organization, OrganizationEdit,
    OrganizationStatus, Receipt, User, UserPredicate, UserQuery, fold,
};
use std::collections::HashSet;

const NO_SUCH_ORGANIZATION: DirectoryError = DirectoryError::NoSuchItem(ItemKind::Organization);

pub(super) async fn get(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let item = state.directory.item(request.caller()?, ItemKind::Organization, read::item_key(request)).await?;
    let out = full_organization(state, request, as_organization(&item)?).await?;
    Ok(write::ok_response(request, "organisation", out))
}

pub(super) async fn create(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::CreateOrganization(read::organization_edit(request)?);
    summary_response(request, &state.directory.run(request.caller()?, command).await?)
}

pub(super) async fn update(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    update_with(state, request, read::organization_edit(request)?).await
}

pub(super) async fn add_domain(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    update_with(state, request, read::add_domain_edit(request)?).await
}

pub(super) async fn activate(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    update_with(state, request, status_edit(OrganizationStatus::Active)).await
}
pub(super) async fn disable(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    update_with(state, request, status_edit(OrganizationStatus::Disabled)).await
}
pub(super) async fn archive(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    update_with(state, request, status_edit(OrganizationStatus::Archived)).await
}
pub(super) async fn activate_many(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status_of_many(state, request, OrganizationStatus::Active).await
}
pub(super) async fn disable_many(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status_of_many(state, request, OrganizationStatus::Disabled).await
}

fn status_edit(status: OrganizationStatus) -> OrganizationEdit {
    OrganizationEdit { status: Some(status), ..OrganizationEdit::default() }
}

async fn update_with(
    state: &AppState,
    request: &DialectRequest,
    edit: OrganizationEdit,
) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateOrganizations { organizations: vec![read::item_key(request)], edit };
    summary_response(request, &state.directory.run(request.caller()?, command).await?)
}

async fn change_status_of_many(
    state: &AppState,
    request: &DialectRequest,
    to: OrganizationStatus,
) -> Result<DialectResponse, RequestError> {
    let organizations = read::bulk_organization_keys(request)?;
    let command = Command::UpdateOrganizations { organizations, edit: status_edit(to) };
    let receipt = state.directory.run(request.caller()?, command).await?;
    let context = write::context(request)?;
    let short = |item: &Item| write::named_summary(&context, "organisations", item.number(), item.name());
    let rows: Vec<OutputValue> = receipt.items.iter().map(short).collect();
    let total = rows.len() as u64;
    Ok(write::list_response(request, "organisations", "organisation", rows, total, 0))
}

fn summary_response(request: &DialectRequest, receipt: &Receipt) -> Result<DialectResponse, RequestError> {
    let item = receipt.items.first().ok_or(NO_SUCH_ORGANIZATION)?;
    let out = write::named_summary(&write::context(request)?, "organisations", item.number(), item.name());
    Ok(write::ok_response(request, "organisation", out))
}

async fn full_organization(
    state: &AppState,
    request: &DialectRequest,
    organization: &Organization,
) -> Result<OutputValue, RequestError> {
    let users = state.directory.members(request.caller()?, organization.id).await?;
    let numbers: Vec<u32> = users.into_iter().map(|(_, number)| number).collect();
    Ok(write::organization(organization, &numbers))
}

pub(super) async fn list(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let read::PageParameters { offset, limit } = read::page_parameters(request, 200)?;
    let now = state.directory.now();
    let mut query = ItemQuery::all(ItemKind::Organization);
    query.predicates.extend(
        read::time_range_parameter(request, &["createddate", "createddatetime"], now)?.map(ItemPredicate::Created),
    );
    query.predicates.extend(read::time_range_parameter(request, &["modifieddate"], now)?.map(ItemPredicate::Updated));
    let mut all = state.directory.find_items(request.caller()?, query).await?.rows;
    let filter = OrganizationFilter::from_query(state, request).await?;
    all.retain(|item| as_organization(item).is_ok_and(|organization| filter.matches(organization)));
    sort_items(request, &mut all, |item, field| match (item, field) {
        (Item::Organization(o), "status") => Some(status::organization_status_name(o.status).to_owned()),
        (Item::Organization(o), "url") => Some(o.url.as_deref().map_or_else(String::new, fold)),
        _ => None,
    })?;
    let total = all.len() as u64;
    let items = all.into_iter().skip(offset as usize).take(limit as usize).collect::<Vec<Item>>();
    let full = |item: &Item, users: &[u32]| Ok(write::organization(as_organization(item)?, users));
    let rows = list_rows(state, request, "organisations", &items, full).await?;
    let page = offset.checked_div(limit).unwrap_or(0);
    Ok(write::list_response(request, "organisations", "organisation", rows, total, page))
}

#[derive(Default)]
struct OrganizationFilter {
    domains: Option<Vec<String>>,
    auto_login: Option<bool>,
    homepage: Option<u32>,
    industry: Option<u32>,
    category: Option<u32>,
    ids_with_user_at_location: Option<HashSet<directory::ItemId>>,
    search: Option<String>,
    status: Option<OrganizationStatus>,
}

impl OrganizationFilter {
    async fn from_query(state: &AppState, request: &DialectRequest) -> Result<Self, RequestError> {
        let number = |name: &'static str| {
            let text = request.query.get(name);
            text.map(|t| {
                t.trim().parse::<u32>().map_err(|_| RequestError::invalid_member(name, FieldErrorKind::Malformed))
            })
            .transpose()
        };
        let auto_login = request.query.get("autologin").map(|text| boolean_of(&Node::Text(text.to_owned())));
        let auto_login =
            auto_login.transpose().map_err(|kind| RequestError::invalid_member("autologin", kind))?.flatten();
        let word = request.query.get("status");
        let status = word.map(|w| {
            status::parse_organization_status(w)
                .ok_or_else(|| RequestError::invalid_member("status filter", FieldErrorKind::Malformed))
        });
        let folded = |list: Vec<String>| list.iter().map(|text| fold(text)).collect::<Vec<String>>();
        let mut organizations = None;
        if let Some(locations) = read::list_parameter(request, "locations")? {
            let predicates = vec![UserPredicate::AddressContains(folded(locations))];
            let query = UserQuery { predicates, limit: u32::MAX, ..UserQuery::default() };
            let users: Vec<User> = state.directory.find_users(request.caller()?, query).await?.rows;
            organizations = Some(users.iter().filter_map(|user| user.organization).collect());
        }
        Ok(Self {
            domains: read::list_parameter(request, "domain")?.map(folded),
            auto_login,
            homepage: number("homepage")?,
            industry: number("industry")?,
            category: number("category")?,
            ids_with_user_at_location: organizations,
            search: request.query.get("search").map(fold),
            status: status.transpose()?,
        })
    }

    fn matches(&self, organization: &Organization) -> bool {
        let same = |expected: Option<u32>, has: Option<u32>| expected.is_none() || expected == has;
        let texts = || {
            let url = organization.url.as_deref();
            [Some(organization.name.as_str()), url]
                .into_iter()
                .flatten()
                .chain(organization.domains.iter().map(String::as_str))
        };
        self.domains.as_ref().is_none_or(|expected| organization.domains.iter().any(|d| expected.contains(d)))
            && self.auto_login.is_none_or(|expected| expected == organization.auto_login)
            && same(self.homepage, organization.homepage)
            && same(self.industry, organization.industry)
            && same(self.category, organization.category)
            && self.ids_with_user_at_location.as_ref().is_none_or(|ids| ids.contains(&organization.id))
            && self.search.as_ref().is_none_or(|part| texts().any(|text| fold(text).contains(part)))
            && self.status.is_none_or(|expected| expected == organization.status)
    }
}

pub(super) async fn list_groups(_: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let read::PageParameters { offset, limit } = read::page_parameters(request, 20)?;
    let page = offset.checked_div(limit).unwrap_or(0);
    Ok(write::list_response(request, "organisationgroups", "organisationgroup", Vec::new(), 0, page))
}

pub(super) async fn get_group(_: &AppState, _: &DialectRequest) -> Result<DialectResponse, RequestError> {
    Err(RequestError::NoRoute)
}

fn as_organization(item: &Item) -> Result<&Organization, RequestError> {
    if let Item::Organization(organization) = item { Ok(organization) } else { Err(NO_SUCH_ORGANIZATION.into()) }
}
