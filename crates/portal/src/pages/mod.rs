//! The pages: routing, and what all responses have in common. Pages work without scripts, and none may run.

mod account;
mod choose_password;
mod forgot_password;
mod request;
mod responses;
mod sign_in;

pub(crate) use choose_password::display_name;

use crate::messages::{self, Problem};
use crate::portal_keys::PortalKeys;
use bytes::Bytes;
use directory::{Caller, Directory, DirectoryError, LinkPurpose, Purpose, Tenant, TenantNumber, TenantSettings};
use http::request::Parts;
use http::{Method, Response};
use request::PageRequest;
use responses::{NavLink, message_page, redirect, render_page};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

const STYLESHEET: &str = include_str!("../../templates/style.css");

pub struct Portal {
    directory: Arc<Directory>,
    /// Whether cookies are `Secure`.
    has_secure_cookies: bool,
    keys: OnceLock<Arc<PortalKeys>>,
}

/// A page, and what the log and the metrics need.
pub struct PageResponse {
    pub page: Response<Bytes>,
    /// The path pattern of the route, without user data.
    pub route: &'static str,
    /// Details of an internal error, for the log.
    pub detail: Option<String>,
}

/// A page, or an error that is rendered as one.
type PageResult = Result<Response<Bytes>, DirectoryError>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Home,
    Stylesheet,
    TenantPicker,
    SignIn,
    Account,
    ChangePassword,
    ForgotPassword,
    SignOut,
    SignOutEverywhere,
    /// The target of links in mails.
    PasswordLink(LinkPurpose),
    NotFound,
}

/// The paths of all pages. They are case-sensitive, as the paths of cookies are.
pub const ROUTES: [(&str, Route); 12] = [
    ("/", Route::Home),
    ("/pages/style.css", Route::Stylesheet),
    ("/sign-in", Route::TenantPicker),
    ("/t/{tenant}/sign-in", Route::SignIn),
    ("/t/{tenant}/account", Route::Account),
    ("/t/{tenant}", Route::Account),
    ("/t/{tenant}/password", Route::ChangePassword),
    ("/t/{tenant}/forgot", Route::ForgotPassword),
    ("/t/{tenant}/sign-out", Route::SignOut),
    ("/t/{tenant}/sign-out-everywhere", Route::SignOutEverywhere),
    ("/t/{tenant}/invitation/{link}", Route::PasswordLink(LinkPurpose::Invitation)),
    ("/t/{tenant}/reset/{link}", Route::PasswordLink(LinkPurpose::Reset)),
];

impl Route {
    /// The path pattern for the log and the metrics.
    fn name(self) -> &'static str {
        ROUTES.iter().find(|(_, route)| *route == self).map_or("/t/{path}", |(path, _)| path)
    }
}

impl Portal {
    /// With `is_secure`, cookies are `Secure`.
    pub fn new(directory: Arc<Directory>, is_secure: bool) -> Self {
        Self { directory, has_secure_cookies: is_secure, keys: OnceLock::new() }
    }

    /// Whether a path belongs to the pages.
    pub fn claims_path(path: &str) -> bool {
        // In some dialects, paths begin with a word that the client chooses, such as `t`.
        let is_numbered = |rest: &str| rest.split('/').next().is_some_and(|text| text.parse::<u32>().is_ok());
        path.trim_end_matches('/') == "/sign-in"
            || path.starts_with("/pages/")
            || path.strip_prefix("/t/").is_some_and(is_numbered)
    }

    /// Whether a path that no dialect claims belongs to the pages.
    pub fn is_reserved_path(path: &str) -> bool {
        path.starts_with("/t/") || path == "/t"
    }

    pub(crate) fn link_path(tenant: TenantNumber, purpose: LinkPurpose, link: &str) -> String {
        format!("/t/{tenant}/{}/{link}", purpose.as_str())
    }

    async fn load_keys(&self) -> Result<Arc<PortalKeys>, DirectoryError> {
        if let Some(keys) = self.keys.get() {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(PortalKeys::load(&self.directory, Purpose::Pages).await?);
        // A concurrent call derives the same keys.
        Ok(Arc::clone(self.keys.get_or_init(|| keys)))
    }

    /// Handles a request for a page; `body` is `None` if it was too large or incomplete.
    pub async fn handle(
        &self,
        route: Route,
        parts: &Parts,
        body: Option<&Bytes>,
        address: IpAddr,
        request_id: &str,
    ) -> PageResponse {
        let (page, detail) = match self.dispatch(route, parts, body, address, request_id).await {
            Ok(page) => (page, None),
            Err(error) => {
                let Problem { status, text } = messages::describe(&error);
                let detail = match error {
                    DirectoryError::Internal(text) | DirectoryError::Unavailable(text) => Some(text),
                    DirectoryError::Busy { .. } | DirectoryError::Conflict => None,
                    other => Some(format!("{other:?}")),
                };
                let heading = if status == 503 { "Please try again" } else { "Something went wrong" };
                let page = message_page("Muster", status, heading, &[&text], Vec::new());
                (page.unwrap_or_else(|_| responses::plain_text(status, &text)), detail)
            }
        };
        PageResponse {
            page: responses::with_security_headers(page, self.has_secure_cookies),
            route: route.name(),
            detail,
        }
    }

    async fn dispatch(
        &self,
        route: Route,
        parts: &Parts,
        body: Option<&Bytes>,
        address: IpAddr,
        request_id: &str,
    ) -> PageResult {
        match route {
            Route::Home if !matches!(parts.method, Method::GET | Method::HEAD) => {
                return Ok(responses::method_not_allowed());
            }
            Route::Home => return home(),
            Route::Stylesheet => return Ok(responses::stylesheet(STYLESHEET)),
            Route::TenantPicker => return self.tenant_picker(parts.uri.query().unwrap_or_default()).await,
            _ => {}
        }
        let mut segments = parts.uri.path().strip_prefix("/t/").unwrap_or_default().split('/');
        let tenant_number = segments.next().and_then(|text| text.parse().ok()).map(TenantNumber);
        let Some(tenant_number) = tenant_number else { return not_found(None) };
        let tenant = self.tenant_or_placeholder(tenant_number).await?;
        let Some(body) = body else {
            let text = "The form is too large or was not sent completely. Please try again.";
            return message_page(public_name(&tenant), 413, "Something went wrong", &[text], Vec::new());
        };
        let keys = self.load_keys().await?;
        let request = PageRequest::parse(parts, body, address, request_id, tenant, keys, self.has_secure_cookies)?;
        let (is_post, is_get) =
            (parts.method == Method::POST, parts.method == Method::GET || parts.method == Method::HEAD);
        if !is_post && !is_get {
            return Ok(responses::method_not_allowed());
        }
        // Accept changes only from forms of our own pages that were served to this browser (CSRF protection).
        if is_post && !request.has_valid_csrf_token() {
            let text = "Nothing was changed, because this form has expired or was opened in a different browser.";
            let hint =
                "Go back, reload the page and try again. Make sure that your browser accepts cookies from this site.";
            return request.message(403, "Please try again", &[text, hint], &[("sign-in", "Sign in")]);
        }
        let link = segments.nth(1).unwrap_or_default();
        match (route, is_post) {
            (Route::SignIn, false) if request.current_session(&self.directory).await?.is_some() => {
                Ok(redirect(&request.page_path("account")))
            }
            (Route::SignIn, false) => sign_in::show(&request, None),
            (Route::SignIn, true) => sign_in::submit(self, &request).await,
            (Route::Account, false) => account::show(self, &request).await,
            (Route::ChangePassword, false) => account::show_change_password(self, &request).await,
            (Route::ChangePassword, true) => account::submit_change_password(self, &request).await,
            (Route::SignOut | Route::SignOutEverywhere, true) => account::sign_out(self, &request, route).await,
            (Route::ForgotPassword, false) => forgot_password::show(&request),
            (Route::ForgotPassword, true) => forgot_password::submit(self, &request).await,
            (Route::PasswordLink(purpose), false) => choose_password::show(self, &request, purpose, link).await,
            (Route::PasswordLink(purpose), true) => choose_password::submit(self, &request, purpose, link).await,
            (Route::SignOut | Route::SignOutEverywhere, false) => Ok(redirect(&request.page_path("account"))),
            (Route::Account, true) | (Route::NotFound | Route::Home | Route::Stylesheet | Route::TenantPicker, _) => {
                not_found(Some(&request))
            }
        }
    }

    /// The tenant with this number. A nonexistent one looks like one without users, so that tenants cannot be
    /// enumerated.
    async fn tenant_or_placeholder(&self, number: TenantNumber) -> Result<Tenant, DirectoryError> {
        match self.directory.tenant(&Caller::system(Purpose::Pages, number)).await {
            Err(DirectoryError::NoSuchTenant) => {
                let (name, settings) = (DEFAULT_NAME.to_owned(), TenantSettings::default());
                Ok(Tenant { number, name, created: self.directory.now(), version: 0, settings, removed: None })
            }
            found => found,
        }
    }

    /// Redirects to the only tenant's sign-in page, or asks for the tenant's number. Every number has a page.
    async fn tenant_picker(&self, query: &str) -> PageResult {
        let tenants = self.directory.tenants(&Caller::task(Purpose::Pages)).await?;
        if let [only] = &tenants[..] {
            return Ok(redirect(&format!("/t/{}/sign-in", only.number)));
        }
        let requested = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "tenant");
        let Some((_, asked)) = requested else {
            return render_page(200, "tenant_picker.html", &TenantPicker::default());
        };
        match asked.trim().parse::<u32>() {
            Ok(number) => Ok(redirect(&format!("/t/{number}/sign-in"))),
            Err(_) => render_page(
                422,
                "tenant_picker.html",
                &TenantPicker { problem: "Please enter a number.", ..TenantPicker::default() },
            ),
        }
    }
}

/// Shown instead of a tenant's name.
const DEFAULT_NAME: &str = "Muster";

/// The name shown before sign-in.
fn public_name(tenant: &Tenant) -> &str {
    if tenant.settings.show_name_before_sign_in { &tenant.name } else { DEFAULT_NAME }
}

#[derive(Serialize)]
struct TenantPicker {
    tenant: &'static str,
    notice: &'static str,
    problem: &'static str,
}

impl Default for TenantPicker {
    fn default() -> Self {
        Self { tenant: "Muster", notice: "", problem: "" }
    }
}

/// The start page, which reveals nothing about tenants.
fn home() -> PageResult {
    let nav_link = |href: &str, anchor| NavLink { href: href.into(), label: anchor };
    let links = vec![nav_link("/sign-in", "Sign in"), nav_link("/docs", "API documentation")];
    let text = "Sign in to manage your account, or read the API documentation.";
    message_page("Muster", 200, "User directory", &[text], links)
}

fn not_found(request: Option<&PageRequest>) -> PageResult {
    let (heading, text) =
        ("Page not found", "If you followed a link from an email, make sure that you copied all of it.");
    if let Some(request) = request {
        return request.message(404, heading, &[text], &[("sign-in", "Sign in")]);
    }
    let nav_link = NavLink { href: "/sign-in".into(), label: "Sign in" };
    message_page("Muster", 404, heading, &[text], vec![nav_link])
}
