//! Compares responses with the samples in the original documents, ignoring values and white space.
//!
//! The `onfire` samples show both the user and an error. A real response has only one of them, so a success and an
//! error together must equal the sample, each part byte for byte.

use crate::support::{Server, send};
use crate::transcripts::{strip_whitespace, transcripts_of};

/// A sample, such as `publisher/seed-004.request.json`.
fn read_sample(name: &str) -> String {
    let (dialect, file) = name.split_once('/').expect("a dialect and a file");
    std::fs::read_to_string(transcripts_of(dialect).join(file)).expect("a sample")
}

/// The markup of a document without its declaration and its values.
fn markup_only(text: &str) -> String {
    let text = strip_whitespace(text);
    let text = text.split_once("?>").map_or(text.as_str(), |(_, rest)| rest);
    let mut skeleton = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                skeleton.push(c);
            }
            _ => {}
        }
        if inside {
            skeleton.push(c);
        }
    }
    skeleton
}

/// The complete element of this name.
fn element<'a>(skeleton: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = skeleton.find(&open).unwrap_or_else(|| panic!("{name} in {skeleton}"));
    let to = skeleton.find(&close).expect("closed") + close.len();
    &skeleton[from..to]
}

#[test]
fn onfire_samples_combine_success_and_error() {
    let server = Server::start(&[]);
    let (tenant, key) = server.create_tenant(&[]);
    let post = |path: &str, method: &str, user: &str, member: &str, inner: &str| {
        let body =
            format!("<{user}><{member}>{tenant}</{member}>{inner}<IntegrationKey>{key}</IntegrationKey></{user}>");
        send(&server.address, method, path, &[("Content-Type", "application/xml")], body.as_bytes())
    };
    for (name, path, method, user, member) in [
        ("onfire/seed-000.response.xml", "/api/v2/user?format=xml", "POST", "User", "CompanyId"),
        ("onfire/seed-003.response.xml", "/api/v2/user?format=xml", "PUT", "User", "CompanyId"),
        ("onfire/seed-001.response.xml", "/api/v1/suser", "POST", "SUser", "ProviderId"),
    ] {
        let email = format!("<Email>{}@example.com</Email>", name.replace('/', "."));
        let names = "<FirstName>Ann</FirstName><LastName>Lee</LastName>";
        let done = post(path, "POST", user, member, &format!("{email}{names}"));
        let done = if method == "PUT" { post(path, "PUT", user, member, &email) } else { done };
        let refused = post(path, "POST", user, member, &format!("{email}{names}"));
        assert_eq!((done.status, refused.status), (200, 400), "{} {}", done.body, refused.body);
        let (done, refused, sample) =
            (markup_only(&done.body), markup_only(&refused.body), markup_only(&read_sample(name)));
        let ours = done.replace(&format!("</{user}Response>"), element(&refused, "ResponseStatus"));
        assert_eq!(format!("{ours}</{user}Response>"), sample, "{name}");
    }
}

#[test]
fn ccs_and_publisher_responses_match_samples() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    let bearer = format!("Bearer {key}");
    let person = |n: u32| format!("{{\"firstName\":\"A\",\"email\":\"{n}@x.y\",\"roleId\":1}}");
    for (n, (accept, name)) in [
        ("application/json", "ccs/seed-002.response.json"),
        ("text/html", "ccs/seed-002.response.html"),
        ("application/xml", "ccs/seed-002.response.xml"),
    ]
    .into_iter()
    .enumerate()
    {
        let n = u32::try_from(n).expect("small");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json"), ("Accept", accept)];
        let reply = send(&server.address, "POST", "/request/user", &headers, person(n).as_bytes());
        let wanted = strip_whitespace(&read_sample(name)).replace('1', &(n + 1).to_string());
        // The namespaces contain digits.
        let wanted = if n == 0 {
            wanted
        } else {
            strip_whitespace(&read_sample(name)).replacen(":1", &format!(":{}", n + 1), 1)
        };
        let wanted = wanted.replace("<Id>1<", &format!("<Id>{}<", n + 1));
        assert_eq!(strip_whitespace(&reply.body), wanted, "{name}");
        assert!(reply.header("content-type").expect("a type").starts_with(accept));
    }
    let body = read_sample("publisher/seed-004.request.json");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let reply = send(&server.address, "POST", "/context/api/2/users", &headers, body.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.body);
    // The document's sample lacks its last brace. Here, the user's number is the fourth.
    let wanted = strip_whitespace(&read_sample("publisher/seed-004.response.json"))
        .replace("\"id\":3", "\"id\":4")
        .replace("user/3", "user/4");
    assert_eq!(strip_whitespace(&reply.body), format!("{wanted}}}"));
}
