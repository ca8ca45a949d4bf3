//! A minimal browser that keeps cookies and submits forms.

use super::HttpTarget;
use crate::support::HttpResponse;
use std::collections::BTreeMap;

pub(crate) struct PageClient<'a> {
    target: &'a dyn HttpTarget,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl<'a> PageClient<'a> {
    pub(crate) fn new(door: &'a dyn HttpTarget) -> Self {
        Self { target: door, cookies: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, path: &str) -> HttpResponse {
        self.send_request("GET", path, "")
    }

    /// Posts form fields.
    pub(super) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> HttpResponse {
        let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
        self.send_request("POST", path, &pairs.join("&"))
    }

    /// Opens a page, fills in its form and submits it.
    pub(super) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> HttpResponse {
        let page = self.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        self.post(path, &[&[("token", form_token(&page).as_str())], fields].concat())
    }

    pub(crate) fn set_password(&mut self, link: &str, password: &str) -> HttpResponse {
        self.submit(link, &[("new", password), ("again", password)])
    }

    fn send_request(&mut self, method: &str, path: &str, body: &str) -> HttpResponse {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![("cookie", cookies.as_str())];
        if method == "POST" {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let reply = self.target.send_request(method, path, &headers, body);
        for line in reply.head.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            if name.eq_ignore_ascii_case("set-cookie") {
                let (name, rest) = value.split_once('=').expect("a cookie");
                self.cookies.insert(name.into(), rest.split(';').next().expect("a value").into());
            }
        }
        reply
    }
}

/// The token of the form on a page.
pub(super) fn form_token(page: &HttpResponse) -> String {
    let rest = page.body.split_once("name=\"token\" value=\"").expect("a form").1;
    rest.split('"').next().expect("a token").to_owned()
}

fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |all, byte| all + &format!("%{byte:02X}"))
}
