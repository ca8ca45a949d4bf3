//! Types and members, as in the API's own documents.

use crate::kit::{ObjectSchema, Property, ValueType};
use directory::Field;

/// Only v1 has an XML namespace.
pub(super) fn namespace(object_schema: &ObjectSchema) -> Option<&'static str> {
    object_schema.name.starts_with("SUser").then_some("http://schemas.servicestack.net/types")
}

const TEXT: ValueType = ValueType::Text;
const GUIDS: ValueType = ValueType::List("Id", &ValueType::Guid);

const COMPANY_ID: Property = Property::new("CompanyId", ValueType::Integer, "Number of the tenant").wire_only();
const INTEGRATION_KEY: Property =
    Property::new("IntegrationKey", ValueType::Text, "Key of the connection").request_only().wire_only();
const USE_NAMES: Property =
    Property::new("UseNames", ValueType::Boolean, "`Groups` and `Folders` hold names instead of GUIDs")
        .request_only()
        .wire_only();
const USE_EXTERNAL_IDS: Property =
    Property::new("UseExternalIds", ValueType::Boolean, "`Groups` and `Folders` hold external ids")
        .request_only()
        .wire_only();

const ID: Property = Property::new("Id", ValueType::Guid, "Id, assigned by the server").field(Field::Id);
const EMAIL: Property = Property::text("Email", Field::Email, "Email and login name").max_length(255).required();
const FIRST_NAME: Property = Property::text("FirstName", Field::GivenName, "First name").max_length(100).required();
const LAST_NAME: Property = Property::text("LastName", Field::FamilyName, "Last name").max_length(100).required();
const EXTERNAL_ID: Property =
    Property::text("ExternalId", Field::ExternalId, "External id, unique within the tenant").max_length(50);
/// GUIDs; with `UseNames` or `UseExternalIds`, names or external ids.
const REFERENCES: ValueType = ValueType::List("Id", &ValueType::Text);
const GROUPS: Property = Property::new("Groups", REFERENCES, "Groups of the user").field(Field::Groups);
const FOLDERS: Property = Property::new("Folders", REFERENCES, "Folders visible to the user").field(Field::Folders);
const PASSWORD: Property =
    Property::new("Password", ValueType::Text, "At least 6 characters").field(Field::Password).request_only();
const STATUS: Property =
    Property::new("Status", ValueType::Text, "`Invited`, `Active` or `Inactive`").field(Field::Status);
const WEBSITE_ROLE: Property =
    Property::new("WebsiteRole", ValueType::Text, "`ReadOnly`, `User`, `Admin`, `EnterpriseAdmin`, …")
        .field(Field::Role);

pub(super) static USER: ObjectSchema = ObjectSchema::of_user(
    "User",
    "A user (v2)",
    &[
        ID,
        COMPANY_ID,
        Property::new(
            "UserID",
            ValueType::Integer,
            "Number within the tenant; only for keys that may grant the highest role",
        )
        .field(Field::Number)
        .response_only(),
        INTEGRATION_KEY,
        Property::text("Type", Field::License, "License: `Standard`, `Premium`, `Lite` or `Full`").max_length(50),
        FIRST_NAME,
        LAST_NAME,
        EMAIL,
        PASSWORD,
        STATUS,
        EXTERNAL_ID,
        Property::text("TimeZone", Field::TimeZone, "Time zone, stored as sent").max_length(100),
        Property::text("Country", Field::Country, "Country, preferably its two-letter code").max_length(100),
        WEBSITE_ROLE,
        Property::new("DoNotEmail", ValueType::Boolean, "Send no invitation").field(Field::DoNotEmail).request_only(),
        Property::new("CreatedDate", ValueType::Timestamp, "Time of creation").field(Field::Created).response_only(),
        Property::new("LastUpdated", ValueType::Timestamp, "Time of the last change")
            .field(Field::Updated)
            .response_only(),
        Property::new("LastActivity", ValueType::Timestamp, "Time of the last activity")
            .field(Field::LastActivity)
            .response_only(),
        Property::new("UserDevices", ValueType::List("UserDevice", &TEXT), "Always empty").response_only(),
        GROUPS,
        FOLDERS,
        Property::text("ColorCode", Field::Color, "HTML color").max_length(30),
        Property::new("Metadata", ValueType::List("KeyValue", &ValueType::Object(&PAIR)), "Custom metadata")
            .field(Field::Metadata),
        USE_NAMES,
        USE_EXTERNAL_IDS,
    ],
);

pub(super) static SUSER: ObjectSchema = ObjectSchema::of_user(
    "SUser",
    "A user (v1)",
    &[
        EMAIL,
        EXTERNAL_ID,
        FIRST_NAME,
        FOLDERS,
        GROUPS,
        ID,
        INTEGRATION_KEY,
        LAST_NAME,
        PASSWORD,
        Property::new("ProviderId", ValueType::Integer, "Number of the tenant").wire_only(),
        STATUS,
        WEBSITE_ROLE,
    ],
);

static PAIR: ObjectSchema = ObjectSchema {
    name: "KeyValue",
    description: "A key-value pair",
    properties: &[Property::new("Key", ValueType::Text, "Key"), Property::new("Value", ValueType::Text, "Value")],
};

pub(super) static USER_GROUP: ObjectSchema = ObjectSchema {
    name: "UserGroup",
    description: "A group of users",
    properties: &[
        ID,
        Property::new("Name", ValueType::Text, "Name").field(Field::Name).max_length(256).required(),
        Property::new("ExternalId", ValueType::Text, "External id").field(Field::ExternalId).max_length(50),
        Property::new("UserIds", GUIDS, "Members; a request replaces the whole list").field(Field::Members),
        COMPANY_ID,
        INTEGRATION_KEY,
    ],
};

pub(super) static FOLDER: ObjectSchema = ObjectSchema {
    name: "Folder",
    description: "A folder",
    properties: &[
        ID,
        Property::new("Name", ValueType::Text, "Name").field(Field::Name).max_length(256).required(),
        Property::new("ExternalId", ValueType::Text, "External id").field(Field::ExternalId).max_length(50),
        Property::new("Description", ValueType::Text, "Description").field(Field::Description),
        Property::new("IsRestricted", ValueType::Boolean, "Whether only `RestrictToGroup` may see it"),
        Property::new("RestrictToGroup", ValueType::Guid, "Group that may see it").field(Field::RestrictedTo),
        Property::new("Items", ValueType::List("FolderItem", &ValueType::Object(&FOLDER_ITEM)), "Items in the folder")
            .field(Field::Entries),
        COMPANY_ID,
        INTEGRATION_KEY,
    ],
};

static FOLDER_ITEM: ObjectSchema = ObjectSchema {
    name: "FolderItem",
    description: "An item in a folder",
    properties: &[
        Property::new("KeyId", ValueType::Text, "Key of the item"),
        Property::new("Type", ValueType::Text, "`Screen`, `Doc`, `DataSource`, `Folder` or `TaskTemplate`"),
    ],
};

const fn wrapped(name: &'static str, inner: &'static ObjectSchema) -> Property {
    Property::new(name, ValueType::Object(inner), "The resource")
}
const TOTAL_ROWS: Property = Property::new("TotalRows", ValueType::Integer, "Rows of all pages");

pub(super) static USER_RESPONSE: ObjectSchema =
    ObjectSchema { name: "UserResponse", description: "One user", properties: &[wrapped("User", &USER)] };
pub(super) static SUSER_RESPONSE: ObjectSchema =
    ObjectSchema { name: "SUserResponse", description: "One user", properties: &[wrapped("SUser", &SUSER)] };
pub(super) static USER_GROUP_RESPONSE: ObjectSchema = ObjectSchema {
    name: "UserGroupResponse",
    description: "One group",
    properties: &[wrapped("UserGroup", &USER_GROUP)],
};
pub(super) static FOLDER_RESPONSE: ObjectSchema =
    ObjectSchema { name: "FolderResponse", description: "One folder", properties: &[wrapped("Folder", &FOLDER)] };
pub(super) static USER_PAGE: ObjectSchema = ObjectSchema {
    name: "UserSearchResponse",
    description: "A page of users",
    properties: &[Property::new("Users", ValueType::List("User", &ValueType::Object(&USER)), "Rows"), TOTAL_ROWS],
};
pub(super) static SUSER_PAGE: ObjectSchema = ObjectSchema {
    name: "SUserSearchResponse",
    description: "A page of users",
    properties: &[Property::new("SUsers", ValueType::List("SUser", &ValueType::Object(&SUSER)), "Rows"), TOTAL_ROWS],
};
pub(super) static USER_GROUP_PAGE: ObjectSchema = ObjectSchema {
    name: "UserGroupSearchResponse",
    description: "A page of groups, without their members",
    properties: &[
        Property::new("UserGroups", ValueType::List("UserGroup", &ValueType::Object(&USER_GROUP)), "Rows"),
        TOTAL_ROWS,
    ],
};
pub(super) static FOLDER_PAGE: ObjectSchema = ObjectSchema {
    name: "FolderSearchResponse",
    description: "A page of folders",
    properties: &[Property::new("Folders", ValueType::List("Folder", &ValueType::Object(&FOLDER)), "Rows"), TOTAL_ROWS],
};

pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "ErrorResponse",
    description: "An error",
    properties: &[Property::new("ResponseStatus", ValueType::Object(&RESPONSE_STATUS), "Details")],
};
static RESPONSE_STATUS: ObjectSchema = ObjectSchema {
    name: "ResponseStatus",
    description: "Details of an error",
    properties: &[
        Property::new("ErrorCode", ValueType::Text, "Error code"),
        Property::new("Message", ValueType::Text, "Error message"),
        Property::new("Errors", ValueType::List("ResponseError", &ValueType::Object(&RESPONSE_ERROR)), "One per field"),
    ],
};
static RESPONSE_ERROR: ObjectSchema = ObjectSchema {
    name: "ResponseError",
    description: "An error in one field",
    properties: &[
        Property::new("ErrorCode", ValueType::Text, "Error code"),
        Property::new("FieldName", ValueType::Text, "Name of the field"),
        Property::new("Message", ValueType::Text, "Error message"),
    ],
};
