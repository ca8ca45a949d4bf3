//! The one table of paths: the server's own, the pages', and every dialect's.

use crate::pages::{self, OwnPage};
use dialects::kit::{RouteMatch, RoutePath, RouteTable, claiming_dialect, route_paths};
use matchit::{InsertError, Router};
use portal::Portal;

/// What stands in the table under a path.
enum Entry {
    Own(&'static str, OwnPage),
    Page(&'static str, portal::Route),
    Dialect(RoutePath),
}

/// What answers a request.
pub(crate) enum Destination {
    Own(OwnPage),
    Page(portal::Route),
    Dialect(RouteMatch),
}

/// The table. Keys are lower-case; where two fit, literals win over parameters.
pub(crate) struct Routes(Router<Entry>);

impl Routes {
    /// # Errors
    /// Two entries have the same path.
    pub(crate) fn new() -> Result<Self, InsertError> {
        let mut router = Router::new();
        for (path, page) in pages::PATHS {
            router.insert(path, Entry::Own(path, page))?;
        }
        for (path, route) in portal::ROUTES {
            router.insert(path, Entry::Page(path, route))?;
        }
        for route in route_paths() {
            router.insert(route.path.to_ascii_lowercase(), Entry::Dialect(route))?;
        }
        Ok(Self(router))
    }

    /// What a path leads to; `None` if nothing answers it.
    pub(crate) fn at(&self, path: &str) -> Option<Destination> {
        if path == "/" {
            return Some(Destination::Page(portal::Route::Start));
        }
        // Base URLs with a slash at their end lead to paths with two.
        if path.contains("//") && dialects::ignores_empty_segments(path) {
            let segments = path.split('/').filter(|segment| !segment.is_empty());
            let one = segments.fold(String::new(), |path, segment| path + "/" + segment);
            return self.at(&one);
        }
        // The key is as long as the path, segment by segment, so parameters are read from the path as it was sent.
        let key = path.trim_end_matches('/').to_ascii_lowercase();
        match self.0.at(&key).map(|found| found.value) {
            Ok(Entry::Own(own, page)) if *own == path => Some(Destination::Own(*page)),
            Ok(Entry::Page(page, route)) if has_literals(page, path) => Some(Destination::Page(*route)),
            // Contexts may have any name but those that pages begin with.
            _ if path.starts_with("/docs/") => Some(Destination::Own(OwnPage::Missing)),
            _ if Portal::owns(path) => Some(Destination::Page(portal::Route::Nowhere)),
            Ok(Entry::Dialect(route)) => route.match_path(path).map(Destination::Dialect),
            _ => None,
        }
        .or_else(|| claiming_dialect(path).map(Destination::Dialect))
        .or_else(|| Portal::is_like(path).then_some(Destination::Page(portal::Route::Nowhere)))
    }
}

impl RouteTable for Routes {
    fn find(&self, path: &str) -> Option<RouteMatch> {
        if let Destination::Dialect(found) = self.at(path)? { Some(found) } else { None }
    }
}

/// Whether a path has a pattern's literals in the same letter case.
fn has_literals(pattern: &str, path: &str) -> bool {
    pattern.split('/').zip(path.split('/')).all(|(wanted, sent)| wanted.starts_with('{') || wanted == sent)
}

#[cfg(test)]
mod tests;
