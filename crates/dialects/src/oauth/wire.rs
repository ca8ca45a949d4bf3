//! What travels.

use crate::kit::{Kind, Member, Record};

pub(super) static REQUEST: Record = Record {
    name: "TokenRequest",
    about: "Client credentials (RFC 6749 section 4.4.2), perhaps as an assertion (RFC 7523 section 2.2)",
    members: &[
        Member::of("grant_type", Kind::Word(&["client_credentials"]), "What is shown").required(),
        Member::of("client_id", Kind::Text, "The connection's id; also as HTTP Basic"),
        Member::of("client_secret", Kind::Text, "One of the connection's keys; also as HTTP Basic"),
        Member::of(
            "client_assertion_type",
            Kind::Text,
            "`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`",
        ),
        Member::of(
            "client_assertion",
            Kind::Text,
            "A JWT signed with a registered key, instead of the secret",
        ),
        Member::of("scope", Kind::Text, "Has no meaning here: a token may do what its connection may"),
    ],
};

pub(super) static TOKEN: Record = Record {
    name: "Token",
    about: "An access token",
    members: &[
        Member::of("access_token", Kind::Text, "To be sent as a bearer token"),
        Member::of("token_type", Kind::Text, "`Bearer`"),
        Member::of("expires_in", Kind::Integer, "Seconds for which it is good"),
    ],
};

pub(super) static METADATA: Record = Record {
    name: "Metadata",
    about: "What this authorization server can do (RFC 8414)",
    members: &[
        Member::of("issuer", Kind::Text, "Who gives the tokens"),
        Member::of("token_endpoint", Kind::Text, "Where they are given"),
        Member::of("grant_types_supported", Kind::List("grant", &Kind::Text), "`client_credentials`"),
        Member::of("response_types_supported", Kind::List("type", &Kind::Text), "None"),
        Member::of(
            "token_endpoint_auth_methods_supported",
            Kind::List("method", &Kind::Text),
            "How clients authenticate",
        ),
        Member::of(
            "token_endpoint_auth_signing_alg_values_supported",
            Kind::List("algorithm", &Kind::Text),
            "How assertions may be signed",
        ),
        Member::of("service_documentation", Kind::Text, "Where the documentation is"),
    ],
};

pub(super) static ERROR: Record = Record {
    name: "Error",
    about: "Why there is no token (RFC 6749 section 5.2)",
    members: &[
        Member::of("error", Kind::Text, "For programs"),
        Member::of("error_description", Kind::Text, "For people"),
    ],
};
