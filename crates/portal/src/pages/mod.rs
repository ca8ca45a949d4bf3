//! The pages: which path leads where, and what every answer has.
//!
//! Under `/t/{tenant}`: `sign-in`, `account`, `password`, `forgot`, `sign-out`, `sign-out-everywhere`, and what links
//! lead to, `invitation/{link}` and `reset/{link}`. They work without scripts; none may run.

mod account;
mod choose;
mod forgot;
mod request;
mod respond;
mod sign_in;

pub(crate) use choose::name_of;

use crate::keys::Keys;
use crate::words;
use bytes::Bytes;
use directory::{Directory, DirectoryError, LinkPurpose, Tenant, TenantNumber, TenantSettings};
use http::request::Parts;
use http::{Method, Response};
use request::Visit;
use respond::{Way, html, message, redirect};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

const STYLE: &str = include_str!("../../templates/style.css");

/// The pages of an installation.
pub struct Portal {
    directory: Arc<Directory>,
    /// Whether cookies go over TLS alone.
    is_secure: bool,
    keys: OnceLock<Arc<Keys>>,
}

/// A page, and what the log and the figures may know of it.
pub struct Answered {
    /// The page.
    pub page: Response<Bytes>,
    /// The path of the route, without anybody's data.
    pub route: &'static str,
    /// What went wrong inside, for the log.
    pub detail: Option<String>,
}

/// What a handler gives back: a page, or a refusal that becomes one.
type Page = Result<Response<Bytes>, DirectoryError>;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// What this server is, and the ways on.
    Start,
    /// The style sheet.
    Style,
    /// Sign-in without a tenant.
    Door,
    /// Sign-in.
    SignIn,
    /// The account.
    Account,
    /// Changing the password.
    Password,
    /// Asking for a link.
    Forgot,
    /// Signing out.
    SignOut,
    /// Signing out in all browsers.
    SignOutEverywhere,
    /// What links from mails lead to.
    Link(LinkPurpose),
    /// No page.
    Nowhere,
}

/// The paths of all pages. Their letter case matters, as it does in the paths of cookies.
pub const ROUTES: [(&str, Route); 12] = [
    ("/", Route::Start),
    ("/pages/style.css", Route::Style),
    ("/sign-in", Route::Door),
    ("/t/{tenant}/sign-in", Route::SignIn),
    ("/t/{tenant}/account", Route::Account),
    ("/t/{tenant}", Route::Account),
    ("/t/{tenant}/password", Route::Password),
    ("/t/{tenant}/forgot", Route::Forgot),
    ("/t/{tenant}/sign-out", Route::SignOut),
    ("/t/{tenant}/sign-out-everywhere", Route::SignOutEverywhere),
    ("/t/{tenant}/invitation/{link}", Route::Link(LinkPurpose::Invitation)),
    ("/t/{tenant}/reset/{link}", Route::Link(LinkPurpose::Reset)),
];

impl Route {
    /// The path under which it is logged and counted.
    fn name(self) -> &'static str {
        ROUTES.iter().find(|(_, route)| *route == self).map_or("/t/{path}", |(path, _)| path)
    }
}

impl Portal {
    /// Pages over a directory; with `is_secure`, cookies go over TLS alone.
    pub fn new(directory: Arc<Directory>, is_secure: bool) -> Self {
        Self { directory, is_secure, keys: OnceLock::new() }
    }

    /// Whether a path is one of the pages'.
    pub fn owns(path: &str) -> bool {
        // A dialect may have paths that begin with a word of the client's own, such as `t`.
        let is_numbered = |rest: &str| rest.split('/').next().is_some_and(|text| text.parse::<u32>().is_ok());
        path.trim_end_matches('/') == "/sign-in"
            || path.starts_with("/pages/")
            || path.strip_prefix("/t/").is_some_and(is_numbered)
    }

    /// Whether a path that nobody owns looks like one of the pages'.
    pub fn is_like(path: &str) -> bool {
        path.starts_with("/t/") || path == "/t"
    }

    /// The path of a page for a purpose, under the installation's address.
    pub(crate) fn path(tenant: TenantNumber, purpose: LinkPurpose, link: &str) -> String {
        format!("/t/{tenant}/{}/{link}", purpose.as_str())
    }

    async fn keys(&self) -> Result<Arc<Keys>, DirectoryError> {
        if let Some(keys) = self.keys.get() {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(Keys::of(&self.directory).await?);
        // Whoever was first has drawn the same.
        Ok(Arc::clone(self.keys.get_or_init(|| keys)))
    }

    /// Answers a request for one of the pages; `body` is nothing when it was too large or did not arrive.
    pub async fn answer(
        &self,
        route: Route,
        parts: &Parts,
        body: Option<&Bytes>,
        address: IpAddr,
        number: &str,
    ) -> Answered {
        let (page, detail) = match self.page(route, parts, body, address, number).await {
            Ok(page) => (page, None),
            Err(refusal) => {
                let (status, text) = words::problem(&refusal);
                let detail = match refusal {
                    DirectoryError::Internal(text) | DirectoryError::Unavailable(text) => Some(text),
                    DirectoryError::Busy { .. } | DirectoryError::Conflict => None,
                    other => Some(format!("{other:?}")),
                };
                let heading = if status == 503 { "One moment, please" } else { "That did not work" };
                let page = message("Muster", status, heading, &[&text], Vec::new());
                (page.unwrap_or_else(|_| respond::plain(status, &text)), detail)
            }
        };
        Answered { page: respond::with_headers(page, self.is_secure), route: route.name(), detail }
    }

    async fn page(
        &self,
        route: Route,
        parts: &Parts,
        body: Option<&Bytes>,
        address: IpAddr,
        number: &str,
    ) -> Page {
        match route {
            Route::Start if !matches!(parts.method, Method::GET | Method::HEAD) => {
                return Ok(respond::not_allowed());
            }
            Route::Start => return start(),
            Route::Style => return Ok(respond::style(STYLE)),
            Route::Door => return self.door(parts.uri.query().unwrap_or_default()).await,
            _ => {}
        }
        let mut segments = parts.uri.path().strip_prefix("/t/").unwrap_or_default().split('/');
        let number_sent = segments.next().and_then(|text| text.parse().ok()).map(TenantNumber);
        let Some(number_sent) = number_sent else { return nowhere(None) };
        let tenant = self.tenant(number_sent).await?;
        let Some(body) = body else {
            let text = "What was sent is too large, or did not arrive whole.";
            return message(shown_name(&tenant), 413, "That did not work", &[text], Vec::new());
        };
        let keys = self.keys().await?;
        let visit = Visit::read(parts, body, address, number, tenant, keys, self.is_secure)?;
        let (is_post, is_get) =
            (parts.method == Method::POST, parts.method == Method::GET || parts.method == Method::HEAD);
        if !is_post && !is_get {
            return Ok(respond::not_allowed());
        }
        // What changes something is only taken from a form that was given to this visitor by one of our own pages.
        if is_post && !visit.is_genuine() {
            let text = "Nothing was done: the form did not come from a page that this browser was given.";
            let hint = "Please go back, load the page again and try once more. Your browser must be allowed to keep cookies for this site.";
            return visit.message(403, "Please try again", &[text, hint], &[("sign-in", "Sign in")]);
        }
        let link = segments.nth(1).unwrap_or_default();
        match (route, is_post) {
            (Route::SignIn, false) if visit.signed_in(&self.directory).await?.is_some() => {
                Ok(redirect(&visit.base("account")))
            }
            (Route::SignIn, false) => sign_in::show(&visit, None),
            (Route::SignIn, true) => sign_in::submit(self, &visit).await,
            (Route::Account, false) => account::show(self, &visit).await,
            (Route::Password, false) => account::change(self, &visit).await,
            (Route::Password, true) => account::submit_change(self, &visit).await,
            (Route::SignOut, true) => account::sign_out(self, &visit, false).await,
            (Route::SignOutEverywhere, true) => account::sign_out(self, &visit, true).await,
            (Route::Forgot, false) => forgot::show(&visit),
            (Route::Forgot, true) => forgot::submit(self, &visit).await,
            (Route::Link(purpose), false) => choose::show(self, &visit, purpose, link).await,
            (Route::Link(purpose), true) => choose::submit(self, &visit, purpose, link).await,
            (Route::SignOut | Route::SignOutEverywhere, false) => Ok(redirect(&visit.base("account"))),
            (Route::Account, true) | (Route::Nowhere | Route::Start | Route::Style | Route::Door, _) => {
                nowhere(Some(&visit))
            }
        }
    }

    /// The tenant with this number. A nonexistent one looks like one without users, so that nobody can list the tenants.
    async fn tenant(&self, number: TenantNumber) -> Result<Tenant, DirectoryError> {
        match self.directory.tenant(number).await {
            Err(DirectoryError::NoSuchTenant) => {
                let (name, settings) = (UNNAMED.to_owned(), TenantSettings::default());
                Ok(Tenant {
                    number,
                    name,
                    created: self.directory.now(),
                    version: 0,
                    settings,
                    removed: None,
                })
            }
            found => found,
        }
    }

    /// Redirects to the only tenant's sign-in page, or asks for the tenant's number. Every number leads to a sign-in page.
    async fn door(&self, query: &str) -> Page {
        let tenants = self.directory.tenants().await?;
        if let [only] = &tenants[..] {
            return Ok(redirect(&format!("/t/{}/sign-in", only.number)));
        }
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "tenant");
        let Some((_, asked)) = asked else { return html(200, "door.html", &Door::default()) };
        match asked.trim().parse::<u32>() {
            Ok(number) => Ok(redirect(&format!("/t/{number}/sign-in"))),
            Err(_) => html(422, "door.html", &Door { problem: "Please enter a number.", ..Door::default() }),
        }
    }
}

/// Shown in place of a tenant's name.
const UNNAMED: &str = "Muster";

/// The name shown before sign-in.
fn shown_name(tenant: &Tenant) -> &str {
    if tenant.settings.show_name_before_sign_in { &tenant.name } else { UNNAMED }
}

/// The page that asks which tenant's somebody is.
#[derive(Serialize)]
struct Door {
    tenant: &'static str,
    notice: &'static str,
    problem: &'static str,
}

impl Default for Door {
    fn default() -> Self {
        Self { tenant: "Muster", notice: "", problem: "" }
    }
}

/// What this server is. It says nothing of tenants.
fn start() -> Page {
    let way = |href: &str, anchor| Way { href: href.into(), anchor };
    let ways = vec![way("/sign-in", "Sign in"), way("/docs", "API documentation")];
    let text = "Sign in to see your account, or read how programs use it.";
    message("Muster", 200, "User directory", &[text], ways)
}

/// A path that leads nowhere, with a way on.
fn nowhere(visit: Option<&Visit>) -> Page {
    let (heading, text) = ("There is no such page", "Links from mails must be whole: please copy all of it.");
    if let Some(visit) = visit {
        return visit.message(404, heading, &[text], &[("sign-in", "Sign in")]);
    }
    let way = Way { href: "/sign-in".into(), anchor: "Sign in" };
    message("Muster", 404, heading, &[text], vec![way])
}
