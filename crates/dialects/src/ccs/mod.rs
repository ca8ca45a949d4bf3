//! `ccs`: the user API of a supplier portal, in the style of ASP.NET Web API 2.
//!
//! JSON, XML and forms in; JSON and XML out, JSON also under `text/html`, which is what browsers get. Quirks worth
//! knowing: a body's errors come all at once, keyed by member, texts as the framework words them; JSON is read as
//! leniently as Json.NET does; an unknown user is a 404 without a body; a refused write is a 401, not a 403.
//! Differences from the original: `docs/dialects/ccs.md`.

mod convert;
mod errors;
mod examples;
mod read;
mod routes;
mod users;
mod wire;
mod write;

use crate::kit::{XmlNames, bearer};
use crate::{Dialect, Trial};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "ccs",
    about: "Users in the ASP.NET Web API style: JSON, XML or form",
    routes: routes::ROUTES,
    owns: |path| {
        let first = path.trim_start_matches('/').split('/').next();
        first.is_some_and(|first| first.eq_ignore_ascii_case("request"))
    },
    suffixes: false,
    overrides: |_| None,
    acceptable: |_| Ok(()),
    credential: |call| Ok(bearer(call)),
    has_credential_in_body: false,
    refuse: errors::refuse,
    reads: &[
        "application/json",
        "text/json",
        "text/html",
        "application/xml",
        "text/xml",
        "application/x-www-form-urlencoded",
    ],
    writes: &[
        "application/json; charset=utf-8",
        "text/json; charset=utf-8",
        "text/html; charset=utf-8",
        "application/xml; charset=utf-8",
        "text/xml; charset=utf-8",
    ],
    parameters: &[],
    examples: &examples::EXAMPLES,
    error: &wire::ERROR,
    common: |_| Vec::new(),
    xml: Some(XmlNames { namespace: wire::namespace, member: wire::clr_name }),
    curls: |Trial { url, key, .. }| {
        vec![format!("curl -H 'Authorization: Bearer {key}' '{url}/request/user/1'")]
    },
    by_name: false,
    security: &[("bearer", crate::kit::bearer_scheme)],
};
