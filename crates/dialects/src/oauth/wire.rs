//! What travels.

use crate::kit::{ObjectSchema, Property, ValueType};

pub(super) static REQUEST: ObjectSchema = ObjectSchema {
    name: "TokenRequest",
    description: "Client credentials (RFC 6749 section 4.4.2), perhaps as an assertion (RFC 7523 section 2.2)",
    properties: &[
        Property::new("grant_type", ValueType::Enum(&["client_credentials"]), "What is shown").required(),
        Property::new("client_id", ValueType::Text, "The connection's id; also as HTTP Basic"),
        Property::new("client_secret", ValueType::Text, "One of the connection's keys; also as HTTP Basic"),
        Property::new(
            "client_assertion_type",
            ValueType::Text,
            "`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`",
        ),
        Property::new("client_assertion", ValueType::Text, "A JWT signed with a registered key, instead of the secret"),
        Property::new("scope", ValueType::Text, "Has no meaning here: a token may do what its connection may"),
    ],
};

pub(super) static TOKEN: ObjectSchema = ObjectSchema {
    name: "Token",
    description: "An access token",
    properties: &[
        Property::new("access_token", ValueType::Text, "To be sent as a bearer token"),
        Property::new("token_type", ValueType::Text, "`Bearer`"),
        Property::new("expires_in", ValueType::Integer, "Seconds for which it is good"),
    ],
};

pub(super) static METADATA: ObjectSchema = ObjectSchema {
    name: "Metadata",
    description: "What this authorization server can do (RFC 8414)",
    properties: &[
        Property::new("issuer", ValueType::Text, "Who gives the tokens"),
        Property::new("token_endpoint", ValueType::Text, "Where they are given"),
        Property::new("grant_types_supported", ValueType::List("grant", &ValueType::Text), "`client_credentials`"),
        Property::new("response_types_supported", ValueType::List("type", &ValueType::Text), "None"),
        Property::new(
            "token_endpoint_auth_methods_supported",
            ValueType::List("method", &ValueType::Text),
            "How clients authenticate",
        ),
        Property::new(
            "token_endpoint_auth_signing_alg_values_supported",
            ValueType::List("algorithm", &ValueType::Text),
            "How assertions may be signed",
        ),
        Property::new("service_documentation", ValueType::Text, "Where the documentation is"),
    ],
};

pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "Error",
    description: "Why there is no token (RFC 6749 section 5.2)",
    properties: &[
        Property::new("error", ValueType::Text, "For programs"),
        Property::new("error_description", ValueType::Text, "For people"),
    ],
};
