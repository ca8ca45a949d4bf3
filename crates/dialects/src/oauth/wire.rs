//! Requests and responses as tables.

use crate::kit::{ObjectSchema, Property, ValueType};

pub(super) static REQUEST: ObjectSchema = ObjectSchema {
    name: "TokenRequest",
    description: "Client credentials (RFC 6749 section 4.4.2), optionally as an assertion (RFC 7523 section 2.2)",
    properties: &[
        Property::new("grant_type", ValueType::Enum(&["client_credentials"]), "Always `client_credentials`").required(),
        Property::new("client_id", ValueType::Text, "The connection's id; or sent as HTTP Basic"),
        Property::new("client_secret", ValueType::Text, "One of the connection's keys; or sent as HTTP Basic"),
        Property::new(
            "client_assertion_type",
            ValueType::Text,
            "`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`",
        ),
        Property::new("client_assertion", ValueType::Text, "A JWT signed by the client, instead of `client_secret`"),
        Property::new("scope", ValueType::Text, "Ignored: a token has the rights of its connection"),
    ],
};

pub(super) static TOKEN: ObjectSchema = ObjectSchema {
    name: "Token",
    description: "An access token",
    properties: &[
        Property::new("access_token", ValueType::Text, "The bearer token"),
        Property::new("token_type", ValueType::Text, "`Bearer`"),
        Property::new("expires_in", ValueType::Integer, "Lifetime in seconds"),
    ],
};

pub(super) static METADATA: ObjectSchema = ObjectSchema {
    name: "Metadata",
    description: "Metadata of this authorization server (RFC 8414)",
    properties: &[
        Property::new("issuer", ValueType::Text, "Issuer of the tokens"),
        Property::new("token_endpoint", ValueType::Text, "URL of the token endpoint"),
        Property::new("grant_types_supported", ValueType::List("grant", &ValueType::Text), "`client_credentials`"),
        Property::new("response_types_supported", ValueType::List("type", &ValueType::Text), "Always empty"),
        Property::new(
            "token_endpoint_auth_methods_supported",
            ValueType::List("method", &ValueType::Text),
            "Supported methods of client authentication",
        ),
        Property::new(
            "token_endpoint_auth_signing_alg_values_supported",
            ValueType::List("algorithm", &ValueType::Text),
            "Supported signature algorithms of assertions",
        ),
        Property::new("service_documentation", ValueType::Text, "URL of the documentation"),
    ],
};

pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "Error",
    description: "An error (RFC 6749 section 5.2)",
    properties: &[
        Property::new("error", ValueType::Text, "The error code"),
        Property::new("error_description", ValueType::Text, "The error message"),
    ],
};
