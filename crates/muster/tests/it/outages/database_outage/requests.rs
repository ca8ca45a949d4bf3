//! A read and a create of every dialect in each of its formats, and a token request.

use crate::outages::nodes::Credentials;

/// A request with credentials.
pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

const JSON: &str = "application/json";
const XML: &str = "application/xml";

pub(super) fn all_requests(credentials: &Credentials) -> Vec<Request> {
    let Credentials { key, id, .. } = credentials;
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={key}");
    let kind = ("Content-Type", "application/x-www-form-urlencoded".to_owned());
    let (method, target) = ("POST", "/oauth2/token".to_owned());
    let token = Request { name: "token", method, target, headers: vec![kind], body: form };
    [bearer_requests(key), onfire_requests(credentials), vec![token]].into_iter().flatten().collect()
}

/// Requests with a bearer token.
fn bearer_requests(key: &str) -> Vec<Request> {
    let scim = "application/scim+json";
    let rows = [
        ("ccs read", JSON, "/request/user/1", ""),
        ("ccs read, XML", XML, "/request/user/1", ""),
        ("ccs create", JSON, "/request/user", r#"{"firstName":"A","email":"o1@x.example","roleId":2}"#),
        (
            "ccs create, XML",
            XML,
            "/request/user",
            "<UserPost><FirstName>A</FirstName><Email>o2@x.example</Email><RoleId>2</RoleId></UserPost>",
        ),
        ("publisher read", JSON, "/api/2/users/first@x.example", ""),
        ("publisher create", JSON, "/api/2/users", r#"{"user":{"name":{"firstname":"A"},"email":"o3@x.example"}}"#),
        (
            "publisher create, XML",
            XML,
            "/api/2/users",
            "<user><name><firstname>A</firstname></name><email>o4@x.example</email></user>",
        ),
        ("scim read", scim, "/scim/v2/Users?filter=userName%20eq%20%22first@x.example%22", ""),
        ("scim create", scim, "/scim/v2/Users", r#"{"userName":"o5@x.example"}"#),
    ];
    let request = |(name, format, target, body)| {
        let mut request = request(name, format, target, body);
        request.headers.push(("Authorization", format!("Bearer {key}")));
        request
    };
    rows.map(request).into()
}

/// Requests with the key in the query.
fn onfire_requests(credentials: &Credentials) -> Vec<Request> {
    let json = r#"{"Email":"o6@x.example","FirstName":"A","LastName":"L"}"#;
    let xml = "<User><Email>o7@x.example</Email><FirstName>A</FirstName><LastName>L</LastName></User>";
    let rows = [
        ("onfire v1 read", XML, "/api/v1/suser?Email=first@x.example", ""),
        ("onfire v1 create", JSON, "/api/v1/suser?format=json", json),
        ("onfire v2 read", JSON, "/api/v2/user?Email=first@x.example", ""),
        ("onfire v2 create", JSON, "/api/v2/user?format=json", json),
        ("onfire v2 create, XML", XML, "/api/v2/user?format=xml", xml),
    ];
    let request = |(name, format, target, body)| {
        let mut request = request(name, format, target, body);
        request.target.push_str(&format!("&CompanyId={}&IntegrationKey={}", credentials.tenant, credentials.key));
        request
    };
    rows.map(request).into()
}

/// A GET without a body, a POST with one.
fn request(name: &'static str, format: &str, target: &str, body: &str) -> Request {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let headers = vec![("Content-Type", format.to_owned()), ("Accept", format.to_owned())];
    Request { name, method, target: target.to_owned(), headers, body: body.to_owned() }
}
