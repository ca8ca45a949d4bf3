//! A visit: what the browser sent, and who it says it is.

use super::respond::{Way, message, with_cookie};
use super::{Page, shown_name};
use crate::keys::{Keys, kept, random};
use bytes::Bytes;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use directory::{
    Caller, Directory, DirectoryError, KeyHash, KnownDevice, SecretString, Tenant, User, UserId,
};
use http::request::Parts;
use http::{HeaderMap, Response, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The most fields of a form that are read.
const FIELDS: usize = 20;

/// One request for a page of a tenant.
pub(super) struct Visit {
    pub(super) tenant: Tenant,
    pub(super) keys: Arc<Keys>,
    pub(super) address: IpAddr,
    number: String,
    is_secure: bool,
    fields: Vec<(String, String)>,
    query: Vec<(String, String)>,
    /// What the browser is told from others by, and whether it is new.
    visitor: String,
    is_new: bool,
    session: Option<(UserId, String)>,
    device: Option<KnownDevice>,
    is_from_elsewhere: bool,
}

impl Visit {
    pub(super) fn read(
        parts: &Parts,
        body: &Bytes,
        address: IpAddr,
        number: &str,
        tenant: Tenant,
        keys: Arc<Keys>,
        is_secure: bool,
    ) -> Result<Self, DirectoryError> {
        let pairs = |bytes: &[u8]| {
            let pairs = form_urlencoded::parse(bytes).into_owned();
            pairs.take(FIELDS).collect::<Vec<(String, String)>>()
        };
        let visitor = cookie(&parts.headers, &name("muster-form", is_secure)).filter(|text| text.len() == 43);
        let session = cookie(&parts.headers, &name("muster-session", is_secure));
        let session = session.and_then(|text| {
            let (user, key) = text.split_once('.')?;
            Some((UserId(uuid::Uuid::try_parse(user).ok()?), key.to_owned()))
        });
        let device = cookie(&parts.headers, &name("muster-device", is_secure));
        let device = device.and_then(|text| keys.open_device(tenant.number, &text));
        let site = parts.headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        Ok(Self {
            tenant,
            keys,
            address,
            number: number.to_owned(),
            is_secure,
            fields: pairs(body),
            query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
            is_new: visitor.is_none(),
            visitor: visitor.map_or_else(random, Ok)?,
            session,
            device,
            is_from_elsewhere: site.is_some_and(|site| !matches!(site, "same-origin" | "none")),
        })
    }

    /// A field of the form; empty when it is not there.
    pub(super) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A field of the form that nobody may see.
    pub(super) fn secret(&self, name: &str) -> SecretString {
        SecretString::from(self.field(name).to_owned())
    }

    /// What the address says was done just before.
    pub(super) fn done(&self) -> &str {
        self.query.iter().find(|(name, _)| name == "done").map_or("", |(_, value)| value.as_str())
    }

    /// What a form of this visitor must hold.
    pub(super) fn token(&self) -> String {
        self.keys.form(&self.visitor_here())
    }

    /// Whether the form was given to this visitor, and is sent from one of our pages.
    pub(super) fn is_genuine(&self) -> bool {
        !self.is_new
            && !self.is_from_elsewhere
            && self.keys.is_form_of(&self.visitor_here(), self.field("token"))
    }

    fn visitor_here(&self) -> String {
        format!("{} {}", self.tenant.number, self.visitor)
    }

    /// The path of a page of this tenant.
    pub(super) fn base(&self, page: &str) -> String {
        if page.is_empty() {
            format!("/t/{}", self.tenant.number)
        } else {
            format!("/t/{}/{page}", self.tenant.number)
        }
    }

    /// The person, as the one who acts for themselves.
    pub(super) fn caller(&self, who: &str) -> Caller {
        Caller {
            actor: who.to_owned(),
            request_id: self.number.clone(),
            ..Caller::operator(self.tenant.number)
        }
    }

    /// Who is signed in in this browser, and what is kept of its key.
    pub(super) async fn signed_in(
        &self,
        directory: &Directory,
    ) -> Result<Option<(User, KeyHash)>, DirectoryError> {
        let Some((user, key)) = &self.session else { return Ok(None) };
        let key = kept(key);
        let user = directory.user_by_session(self.tenant.number, *user, &key).await?;
        Ok(user.map(|user| (user, key)))
    }

    /// The user who has signed in with this browser before.
    pub(super) fn device(&self) -> Option<KnownDevice> {
        self.device
    }

    /// Whether the browser says that somebody is signed in.
    pub(super) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// A page for this visitor, who is told apart from now on.
    pub(super) fn page(&self, page: Response<Bytes>) -> Response<Bytes> {
        if !self.is_new {
            return page;
        }
        with_cookie(page, &self.cookie("muster-form", self.visitor.clone()))
    }

    /// A page of a few words.
    pub(super) fn message(
        &self,
        status: u16,
        heading: &str,
        texts: &[&str],
        ways: &[(&str, &'static str)],
    ) -> Page {
        let ways = ways.iter().map(|(page, anchor)| Way { href: self.base(page), anchor });
        Ok(self.page(message(shown_name(&self.tenant), status, heading, texts, ways.collect())?))
    }

    /// A cookie for the session that has begun.
    pub(super) fn session_cookie(&self, user: UserId, key: &str) -> Cookie<'static> {
        let mut cookie = self.cookie("muster-session", format!("{user}.{key}"));
        cookie.set_max_age(Duration::seconds(directory::SignInState::SESSION_SECONDS));
        cookie
    }

    /// Marks the browser as known. The cookie grants nothing: failed sign-ins from elsewhere just do not slow down this browser.
    pub(super) fn device_cookie(&self, device: &KnownDevice) -> Cookie<'static> {
        let mut cookie = self.cookie("muster-device", self.keys.seal_device(self.tenant.number, device));
        cookie.set_max_age(Duration::seconds(directory::SignInState::DEVICE_SECONDS));
        cookie
    }

    /// A cookie that ends the session.
    pub(super) fn no_session_cookie(&self) -> Cookie<'static> {
        let mut cookie = self.cookie("muster-session", String::new());
        cookie.set_max_age(Duration::ZERO);
        cookie
    }

    fn cookie(&self, base: &str, value: String) -> Cookie<'static> {
        new_cookie(base, value, self.base(""), self.is_secure)
    }
}

/// A cookie with this prefix is only kept when it came over TLS.
fn name(base: &str, is_secure: bool) -> String {
    if is_secure { format!("__Secure-{base}") } else { base.to_owned() }
}

/// A cookie for one tenant's pages, which scripts and other sites' forms do not get.
fn new_cookie(base: &str, value: String, path: String, is_secure: bool) -> Cookie<'static> {
    let cookie = Cookie::build((name(base, is_secure), value)).path(path);
    cookie.http_only(true).same_site(SameSite::Lax).secure(is_secure).build()
}

/// A cookie's value.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
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
        assert_eq!(cookie(&headers, "muster-session").as_deref(), Some("a.b=c"));
        assert_eq!(cookie(&headers, "muster-form").as_deref(), Some("x"));
        assert_eq!(cookie(&headers, "__Secure-muster-form"), None);
    }

    #[test]
    fn cookies_are_for_the_pages_of_a_tenant_alone() {
        let plain = new_cookie("muster-form", "x".into(), "/t/1".into(), false);
        assert_eq!(plain.to_string(), "muster-form=x; HttpOnly; SameSite=Lax; Path=/t/1");
        let secure = new_cookie("muster-form", "x".into(), "/t/1".into(), true);
        assert_eq!(secure.to_string(), "__Secure-muster-form=x; HttpOnly; SameSite=Lax; Secure; Path=/t/1");
    }
}
