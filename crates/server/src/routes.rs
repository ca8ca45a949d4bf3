//! The routing table: paths of the server's own pages, the portal's pages and all dialects.

use crate::server_pages::{self, ServerPage};
use dialects::kit::{RouteMatch, RoutePath, RouteTable, claiming_dialect, route_paths};
use matchit::{InsertError, Router};
use portal::Portal;

enum RouteTarget {
    Server(&'static str, ServerPage),
    Page(&'static str, portal::Route),
    Dialect(RoutePath),
}

/// The handler of a request.
pub(crate) enum Destination {
    Server(ServerPage),
    Page(portal::Route),
    Dialect(RouteMatch),
}

/// The routing table. Keys are lower-case; literals win over parameters.
pub(crate) struct Routes(Router<RouteTarget>);

impl Routes {
    /// # Errors
    /// Fails if two entries have the same path.
    pub(crate) fn new() -> Result<Self, InsertError> {
        let mut router = Router::new();
        for (path, page) in server_pages::PATHS {
            router.insert(path, RouteTarget::Server(path, page))?;
        }
        for (path, route) in portal::ROUTES {
            router.insert(path, RouteTarget::Page(path, route))?;
        }
        for route in route_paths() {
            router.insert(route.path.to_ascii_lowercase(), RouteTarget::Dialect(route))?;
        }
        Ok(Self(router))
    }

    /// The handler of a path; `None` if there is none.
    pub(crate) fn resolve(&self, path: &str) -> Option<Destination> {
        if path == "/" {
            return Some(Destination::Page(portal::Route::Home));
        }
        // A base URL that ends in a slash produces a path with two.
        if path.contains("//") && dialects::ignores_empty_segments(path) {
            let segments = path.split('/').filter(|segment| !segment.is_empty());
            let collapsed = segments.fold(String::new(), |path, segment| path + "/" + segment);
            return self.resolve(&collapsed);
        }
        // Lower-casing keeps the segment lengths, so parameters are read from the original path.
        let key = path.trim_end_matches('/').to_ascii_lowercase();
        match self.0.at(&key).map(|found| found.value) {
            Ok(RouteTarget::Server(own, page)) if *own == path => Some(Destination::Server(*page)),
            Ok(RouteTarget::Page(page, route)) if literals_match(page, path) => Some(Destination::Page(*route)),
            // A context can have any name, except the prefixes of pages.
            _ if path.starts_with("/docs/") => Some(Destination::Server(ServerPage::NotFound)),
            _ if Portal::claims_path(path) => Some(Destination::Page(portal::Route::NotFound)),
            Ok(RouteTarget::Dialect(route)) => route.match_path(path).map(Destination::Dialect),
            _ => None,
        }
        .or_else(|| claiming_dialect(path).map(Destination::Dialect))
        .or_else(|| Portal::is_reserved_path(path).then_some(Destination::Page(portal::Route::NotFound)))
    }
}

impl RouteTable for Routes {
    fn find(&self, path: &str) -> Option<RouteMatch> {
        if let Destination::Dialect(found) = self.resolve(path)? { Some(found) } else { None }
    }
}

/// Compares the literal segments of a pattern, case-sensitively.
fn literals_match(pattern: &str, path: &str) -> bool {
    pattern.split('/').zip(path.split('/')).all(|(wanted, sent)| wanted.starts_with('{') || wanted == sent)
}

#[cfg(test)]
mod tests;
