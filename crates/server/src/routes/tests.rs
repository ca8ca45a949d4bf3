//! The routing table finds what a linear search through every dialect's routes finds.

use super::*;
use dialects::kit::{MatchedRoute, Route};
use percent_encoding::percent_decode_str;
use std::collections::BTreeSet;
use testkit::generators::Rng;

/// A destination as text: handler, route and path parameters.
fn describe(destination: Option<Destination>) -> String {
    match destination {
        Some(Destination::Server(ServerPage::Docs(media, text))) => format!("docs {media} {}", text.len()),
        Some(Destination::Server(page)) => format!("own {:?}", std::mem::discriminant(&page)),
        Some(Destination::Page(route)) => format!("page {route:?}"),
        Some(Destination::Dialect(RouteMatch { dialect, matched: None })) => {
            format!("{} rejects", dialect.name)
        }
        Some(Destination::Dialect(RouteMatch { dialect, matched: Some(m) })) => {
            format!("{} {} {:?} {:?} {:?}", dialect.name, m.route.path, m.path_params, m.context, m.format_suffix)
        }
        None => "nothing".into(),
    }
}

/// The destination of a path, found by linear search: the server's own pages, those of the portal, then the dialects
/// in their order.
fn walk(path: &str) -> Option<Destination> {
    let own = server_pages::PATHS.into_iter().find(|(known, _)| *known == path);
    if own.is_some() || path.starts_with("/docs/") {
        return Some(Destination::Server(own.map_or(ServerPage::NotFound, |(_, page)| page)));
    }
    if path == "/" || Portal::claims_path(path) {
        return Some(Destination::Page(page(path)));
    }
    let found = dialects::all_dialects().find_map(|dialect| {
        let matched = dialect.routes.iter().find_map(|route| try_route(route, path, dialect.has_format_suffixes))?;
        Some(Destination::Dialect(RouteMatch { dialect, matched: Some(matched) }))
    });
    let has_empty = path.contains("//") && dialects::ignores_empty_segments(path);
    let found = found.or_else(|| {
        if !has_empty {
            return None;
        }
        let one = path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/");
        walk(&format!("/{one}"))
    });
    let claiming = dialects::all_dialects().find(|dialect| (dialect.claims_path)(path));
    let claiming = claiming.map(|dialect| Destination::Dialect(RouteMatch { dialect, matched: None }));
    found.or(claiming).or_else(|| Portal::is_reserved_path(path).then(|| Destination::Page(page(path))))
}

fn page(path: &str) -> portal::Route {
    use portal::Route;
    match path.trim_matches('/').split('/').collect::<Vec<_>>()[..] {
        [""] if path == "/" => Route::Home,
        ["pages", "style.css"] => Route::Stylesheet,
        ["sign-in"] => Route::TenantPicker,
        ["t", "", ..] => Route::NotFound,
        ["t", _, "sign-in"] => Route::SignIn,
        ["t", _] | ["t", _, "account"] => Route::Account,
        ["t", _, "password"] => Route::ChangePassword,
        ["t", _, "forgot"] => Route::ForgotPassword,
        ["t", _, "sign-out"] => Route::SignOut,
        ["t", _, "sign-out-everywhere"] => Route::SignOutEverywhere,
        ["t", _, "invitation", _] => Route::PasswordLink(directory::LinkPurpose::Invitation),
        ["t", _, "reset", _] => Route::PasswordLink(directory::LinkPurpose::Reset),
        _ => Route::NotFound,
    }
}

/// A leading `{context}`, any segment that some clients send, is optional.
fn try_route(route: &'static Route, path: &str, suffixes: bool) -> Option<MatchedRoute> {
    let sent: Vec<&str> = path.strip_prefix('/')?.trim_end_matches('/').split('/').collect();
    let wanted: Vec<&str> = route.path.trim_start_matches('/').split('/').collect();
    let without_context = wanted.strip_prefix(&["{context}"]);
    let with_context = try_segments(route, &wanted, &sent, suffixes);
    with_context.or_else(|| try_segments(route, without_context?, &sent, suffixes))
}

fn try_segments(route: &'static Route, wanted: &[&str], sent: &[&str], suffixes: bool) -> Option<MatchedRoute> {
    if wanted.len() != sent.len() {
        return None;
    }
    let mut matched = MatchedRoute { route, path_params: Vec::new(), context: None, format_suffix: None };
    let last = wanted.len();
    for (index, (wanted, sent)) in (1..).zip(wanted.iter().zip(sent)) {
        let mut sent = *sent;
        if wanted.starts_with('{') {
            let decoded = percent_decode_str(sent).decode_utf8().ok().filter(|text| !text.is_empty())?;
            if *wanted == "{context}" {
                matched.context = Some(sent.to_owned());
            } else {
                matched.path_params.push(decoded.into_owned());
            }
            continue;
        }
        for (ending, format) in [(".json", "json"), (".xml", "xml")] {
            let at = sent.len().checked_sub(ending.len()).filter(|at| sent.is_char_boundary(*at));
            if let Some(at) = at.filter(|at| suffixes && index == last && sent[*at..].eq_ignore_ascii_case(ending)) {
                sent = &sent[..at];
                matched.format_suffix = Some(format);
            }
        }
        if !wanted.eq_ignore_ascii_case(sent) {
            return None;
        }
    }
    Some(matched)
}

/// Segments to put in place of parameters and literals.
const SEGMENTS: [&str; 18] = [
    "1",
    "5",
    "+5",
    "t",
    "api",
    "2",
    "json",
    "users",
    "a%2Fb",
    "a%2fB",
    "%FF",
    "%",
    "%00",
    "\u{e9}",
    "\u{212a}",
    "x.json",
    "x.xml.json",
    "",
];
const ENDINGS: [&str; 12] =
    ["", "", "", "", "/", "//", ".json", ".XML", ".xml.json", ".json.xml", ".json/", ".\u{e9}json"];

fn patterns() -> Vec<&'static str> {
    let own = server_pages::PATHS.into_iter().map(|(path, _)| path);
    let routes = || dialects::all_dialects().flat_map(|dialect| dialect.routes).map(|route| route.path);
    let without_context = routes().filter_map(|path| path.strip_prefix("/{context}"));
    own.chain(portal::ROUTES.map(|(path, _)| path)).chain(routes()).chain(without_context).collect()
}

/// A pattern with its parameters filled in, and sometimes small changes.
fn path(rng: &mut Rng, patterns: &[&'static str]) -> String {
    let mut segments: Vec<String> = Vec::new();
    for segment in rng.choose(patterns).split('/').skip(1) {
        let is_literal = !segment.starts_with('{');
        match rng.below(40) {
            0 => continue,
            1 => segments.push((*rng.choose(&SEGMENTS)).to_owned()),
            2 => segments.extend(rng.choose(patterns).rsplit('/').next().map(str::to_owned)),
            _ => {}
        }
        segments.push(match rng.below(8) {
            0 | 1 if is_literal => segment.to_ascii_uppercase(),
            2 if is_literal => segment.to_ascii_lowercase(),
            _ if is_literal => segment.to_owned(),
            _ => (*rng.choose(&SEGMENTS)).to_owned(),
        });
    }
    format!("{}{}{}", if rng.below(20) == 0 { "" } else { "/" }, segments.join("/"), rng.choose(&ENDINGS))
}

#[test]
fn the_table_finds_what_a_walk_through_all_routes_finds() {
    let (routes, patterns) = (Routes::new().expect("no two are the same"), patterns());
    let mut found = BTreeSet::new();
    let mut rng = Rng::new(7);
    for path in ["", "/", "//", "*", "/t", "/t/", "/docs/", "/docs//", "/scim", "/v1/", "/api/api/2/users"] {
        assert_eq!(describe(routes.resolve(path)), describe(walk(path)), "{path}");
    }
    for _ in 0..20_000 {
        let path = path(&mut rng, &patterns);
        let text = describe(routes.resolve(&path));
        assert_eq!(text, describe(walk(&path)), "{path}");
        found.insert(text.split(" [").next().expect("a part").to_owned());
    }
    let all = dialects::all_dialects().flat_map(|d| d.routes.iter().map(|route| format!("{} {}", d.name, route.path)));
    let pages = portal::ROUTES.map(|(_, route)| format!("page {route:?}"));
    for wanted in all.chain(pages) {
        assert!(found.contains(&wanted), "{wanted} was never found");
    }
}

#[test]
fn overlapping_patterns_start_with_the_more_literal_one() {
    let all = patterns();
    for (n, later) in all.iter().enumerate() {
        for earlier in &all[..n] {
            let pairs: Vec<_> = earlier.split('/').zip(later.split('/')).collect();
            let is_parameter = |text: &str| text.starts_with('{');
            let overlap = earlier.split('/').count() == later.split('/').count()
                && pairs.iter().all(|(a, b)| is_parameter(a) || is_parameter(b) || a.eq_ignore_ascii_case(b));
            let first = pairs.iter().find(|(a, b)| is_parameter(a) != is_parameter(b));
            let literal_first = first.is_some_and(|(earlier, _)| !is_parameter(earlier));
            assert!(!overlap || literal_first, "{earlier} and {later}");
        }
    }
}
