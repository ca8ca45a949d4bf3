//! A request for a page: form fields, cookies and the signed-in user.

use super::responses::{NavLink, message_page, with_cookie};
use super::{PageResult, public_name};
use crate::portal_keys::{PortalKeys, hash_session_key, random_token};
use bytes::Bytes;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use directory::{Actor, Caller, Directory, DirectoryError, KeyHash, KnownBrowser, SecretString, Tenant, User, UserId};
use http::request::Parts;
use http::{HeaderMap, Response, header};
use std::net::IpAddr;
use std::sync::Arc;

/// Further fields of a form are ignored.
const MAX_FIELDS: usize = 20;

/// One request for a page of a tenant.
pub(super) struct PageRequest {
    pub(super) tenant: Tenant,
    pub(super) keys: Arc<PortalKeys>,
    pub(super) address: IpAddr,
    request_id: String,
    has_secure_cookies: bool,
    fields: Vec<(String, String)>,
    query: Vec<(String, String)>,
    /// Identifies the browser, for CSRF tokens.
    browser_id: String,
    is_new_browser: bool,
    session: Option<(UserId, String)>,
    known_browser: Option<KnownBrowser>,
    is_cross_site: bool,
}

/// The signed-in user, and the hash of the session's key.
pub(super) struct Session {
    pub(super) user: User,
    pub(super) key_hash: KeyHash,
}

impl PageRequest {
    pub(super) fn parse(
        parts: &Parts,
        body: &Bytes,
        address: IpAddr,
        number: &str,
        tenant: Tenant,
        keys: Arc<PortalKeys>,
        is_secure: bool,
    ) -> Result<Self, DirectoryError> {
        let pairs = |bytes: &[u8]| {
            let pairs = form_urlencoded::parse(bytes).into_owned();
            pairs.take(MAX_FIELDS).collect::<Vec<(String, String)>>()
        };
        let visitor =
            cookie_value(&parts.headers, &cookie_name("muster-form", is_secure)).filter(|text| text.len() == 43);
        let session = cookie_value(&parts.headers, &cookie_name("muster-session", is_secure));
        let session = session.and_then(|text| {
            let (user, key) = text.split_once('.')?;
            Some((UserId(uuid::Uuid::try_parse(user).ok()?), key.to_owned()))
        });
        let device = cookie_value(&parts.headers, &cookie_name("muster-device", is_secure));
        let device = device.and_then(|text| keys.verify_known_browser(tenant.number, &text));
        let site = parts.headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        Ok(Self {
            tenant,
            keys,
            address,
            request_id: number.to_owned(),
            has_secure_cookies: is_secure,
            fields: pairs(body),
            query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
            is_new_browser: visitor.is_none(),
            browser_id: visitor.map_or_else(random_token, Ok)?,
            session,
            known_browser: device,
            is_cross_site: site.is_some_and(|site| !matches!(site, "same-origin" | "none")),
        })
    }

    /// A field of the form; empty if it is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn secret_field(&self, name: &str) -> SecretString {
        SecretString::from(self.field(name).to_owned())
    }

    /// The `done` parameter: which notice to show after a redirect.
    pub(super) fn notice_code(&self) -> &str {
        self.query.iter().find(|(name, _)| name == "done").map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn csrf_token(&self) -> String {
        self.keys.form_token(&self.csrf_subject())
    }

    /// Whether the form was served to this browser and sent from one of our pages.
    pub(super) fn has_valid_csrf_token(&self) -> bool {
        !self.is_new_browser
            && !self.is_cross_site
            && self.keys.is_valid_form_token(&self.csrf_subject(), self.field("token"))
    }

    fn csrf_subject(&self) -> String {
        format!("{} {}", self.tenant.number, self.browser_id)
    }

    pub(super) fn page_path(&self, page: &str) -> String {
        if page.is_empty() { format!("/t/{}", self.tenant.number) } else { format!("/t/{}/{page}", self.tenant.number) }
    }

    /// A visitor; `page` is the actor in the history.
    pub(super) fn visitor(&self, page: &'static str) -> Caller {
        self.caller(Actor::Anonymous { page })
    }

    /// A signed-in user, on the account page.
    pub(super) fn signed_in(&self, user: UserId) -> Caller {
        self.caller(Actor::User { id: user, page: "account page" })
    }

    fn caller(&self, actor: Actor) -> Caller {
        Caller { request_id: self.request_id.clone(), ..Caller::new(self.tenant.number, actor) }
    }

    pub(super) async fn current_session(&self, directory: &Directory) -> Result<Option<Session>, DirectoryError> {
        let Some((user, key)) = &self.session else { return Ok(None) };
        let key_hash = hash_session_key(key);
        let user = directory.user_by_session(&self.visitor("account page"), *user, &key_hash).await?;
        Ok(user.map(|user| Session { user, key_hash }))
    }

    /// The user who has signed in with this browser before.
    pub(super) fn known_browser(&self) -> Option<KnownBrowser> {
        self.known_browser
    }

    /// Whether the browser sent a session, which may have ended.
    pub(super) fn has_session_cookie(&self) -> bool {
        self.session.is_some()
    }

    /// Sets the cookie that identifies the browser, if it has none.
    pub(super) fn with_browser_cookie(&self, page: Response<Bytes>) -> Response<Bytes> {
        if !self.is_new_browser {
            return page;
        }
        with_cookie(page, &self.cookie("muster-form", self.browser_id.clone()))
    }

    /// A page with a message.
    pub(super) fn message(
        &self,
        status: u16,
        heading: &str,
        texts: &[&str],
        links: &[(&str, &'static str)],
    ) -> PageResult {
        let links = links.iter().map(|(page, anchor)| NavLink { href: self.page_path(page), label: anchor });
        Ok(self.with_browser_cookie(message_page(public_name(&self.tenant), status, heading, texts, links.collect())?))
    }

    pub(super) fn session_cookie(&self, user: UserId, key: &str) -> Cookie<'static> {
        let mut cookie = self.cookie("muster-session", format!("{user}.{key}"));
        cookie.set_max_age(Duration::seconds(directory::SignInState::SESSION_SECONDS));
        cookie
    }

    /// Marks the browser as known. The cookie grants no access; it only exempts this browser from throttling caused by
    /// failed sign-ins elsewhere.
    pub(super) fn known_browser_cookie(&self, device: &KnownBrowser) -> Cookie<'static> {
        let mut cookie = self.cookie("muster-device", self.keys.sign_known_browser(self.tenant.number, device));
        cookie.set_max_age(Duration::seconds(directory::SignInState::DEVICE_SECONDS));
        cookie
    }

    pub(super) fn expired_session_cookie(&self) -> Cookie<'static> {
        let mut cookie = self.cookie("muster-session", String::new());
        cookie.set_max_age(Duration::ZERO);
        cookie
    }

    fn cookie(&self, base: &str, value: String) -> Cookie<'static> {
        build_cookie(base, value, self.page_path(""), self.has_secure_cookies)
    }
}

/// Browsers accept cookies with the prefix `__Secure-` only over TLS.
fn cookie_name(base: &str, is_secure: bool) -> String {
    if is_secure { format!("__Secure-{base}") } else { base.to_owned() }
}

/// A cookie for one tenant's pages, protected from scripts and forms of other sites.
fn build_cookie(base: &str, value: String, path: String, is_secure: bool) -> Cookie<'static> {
    let cookie = Cookie::build((cookie_name(base, is_secure), value)).path(path);
    cookie.http_only(true).same_site(SameSite::Lax).secure(is_secure).build()
}

fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = sent.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        for value in ["other=1; ; nonsense; muster-session=a.b=c", "muster-session=later;muster-form=x"] {
            headers.append(header::COOKIE, HeaderValue::from_static(value));
        }
        assert_eq!(cookie_value(&headers, "muster-session").as_deref(), Some("a.b=c"));
        assert_eq!(cookie_value(&headers, "muster-form").as_deref(), Some("x"));
        assert_eq!(cookie_value(&headers, "__Secure-muster-form"), None);
    }

    #[test]
    fn cookies_are_for_the_pages_of_a_tenant_alone() {
        let plain = build_cookie("muster-form", "x".into(), "/t/1".into(), false);
        assert_eq!(plain.to_string(), "muster-form=x; HttpOnly; SameSite=Lax; Path=/t/1");
        let secure = build_cookie("muster-form", "x".into(), "/t/1".into(), true);
        assert_eq!(secure.to_string(), "__Secure-muster-form=x; HttpOnly; SameSite=Lax; Secure; Path=/t/1");
    }
}
