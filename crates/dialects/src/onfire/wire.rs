//! What travels, as the API's own documents have it.

use crate::kit::{Kind, Member, Record};
use directory::Field;

/// The XML namespace of a record: only v1 has one.
pub(super) fn namespace(record: &Record) -> Option<&'static str> {
    record.name.starts_with("SUser").then_some("http://schemas.servicestack.net/types")
}

const TEXTS: Kind = Kind::Text;
const GUIDS: Kind = Kind::List("Id", &Kind::Guid);

const COMPANY_ID: Member = Member::of("CompanyId", Kind::Integer, "Number of the tenant");
const INTEGRATION_KEY: Member = Member::of("IntegrationKey", Kind::Text, "The connection's key").only_in();
const USE_NAMES: Member =
    Member::of("UseNames", Kind::Boolean, "`Groups` and `Folders` hold names instead of GUIDs").only_in();
const USE_EXTERNAL_IDS: Member =
    Member::of("UseExternalIds", Kind::Boolean, "`Groups` and `Folders` hold external ids").only_in();

const ID: Member = Member::of("Id", Kind::Guid, "Identity, given by the server").field(Field::Id);
const EMAIL: Member = Member::text("Email", Field::Email, "E-mail and login").max(255).required();
const FIRST_NAME: Member = Member::text("FirstName", Field::GivenName, "First name").max(100).required();
const LAST_NAME: Member = Member::text("LastName", Field::FamilyName, "Last name").max(100).required();
const EXTERNAL_ID: Member =
    Member::text("ExternalId", Field::ExternalId, "Your own key, unique within the tenant").max(50);
/// GUIDs; with `UseNames` or `UseExternalIds`, names or external ids.
const REFERENCES: Kind = Kind::List("Id", &Kind::Text);
const GROUPS: Member = Member::of("Groups", REFERENCES, "Groups the user is in").field(Field::Groups);
const FOLDERS: Member = Member::of("Folders", REFERENCES, "Folders the user may see").field(Field::Folders);
const PASSWORD: Member =
    Member::of("Password", Kind::Text, "At least 6 characters").field(Field::Password).only_in();
const STATUS: Member =
    Member::of("Status", Kind::Text, "`Invited`, `Active` or `Inactive`").field(Field::Status);
const WEBSITE_ROLE: Member =
    Member::of("WebsiteRole", Kind::Text, "`ReadOnly`, `User`, `Admin`, `EnterpriseAdmin`, …")
        .field(Field::Role);

/// v2 `User`.
pub(super) static USER: Record = Record {
    name: "User",
    about: "A user (v2)",
    members: &[
        ID,
        Member::of(
            "UserID",
            Kind::Integer,
            "Number of the user within the tenant; only for vendors' connections",
        )
        .field(Field::Number)
        .only_out(),
        COMPANY_ID,
        INTEGRATION_KEY,
        Member::text("Type", Field::License, "Licence: `Standard`, `Premium`, `Lite` or `Full`").max(50),
        FIRST_NAME,
        LAST_NAME,
        EMAIL,
        PASSWORD,
        STATUS,
        EXTERNAL_ID,
        Member::text("TimeZone", Field::TimeZone, "Time zone, stored as given").max(100),
        Member::text("Country", Field::Country, "Country, preferably its two-letter code").max(100),
        WEBSITE_ROLE,
        Member::of("DoNotEmail", Kind::Boolean, "No invitation mail").field(Field::DoNotEmail).only_in(),
        Member::of("CreatedDate", Kind::Moment, "When created").only_out(),
        Member::of("LastUpdated", Kind::Moment, "When last changed").only_out(),
        Member::of("LastActivity", Kind::Moment, "When last seen").only_out(),
        Member::of("UserDevices", Kind::List("UserDevice", &TEXTS), "Always empty").only_out(),
        GROUPS,
        FOLDERS,
        Member::text("ColorCode", Field::Color, "HTML colour").max(30),
        Member::of("Metadata", Kind::List("KeyValue", &Kind::Object(&PAIR)), "Free pairs")
            .field(Field::Metadata),
        USE_NAMES,
        USE_EXTERNAL_IDS,
    ],
};

/// v1 `SUser`.
pub(super) static SUSER: Record = Record {
    name: "SUser",
    about: "A user (v1)",
    members: &[
        EMAIL,
        EXTERNAL_ID,
        FIRST_NAME,
        FOLDERS,
        GROUPS,
        ID,
        INTEGRATION_KEY,
        LAST_NAME,
        PASSWORD,
        Member::of("ProviderId", Kind::Integer, "Number of the tenant"),
        STATUS,
        WEBSITE_ROLE,
    ],
};

static PAIR: Record = Record {
    name: "KeyValue",
    about: "A free pair",
    members: &[Member::of("Key", Kind::Text, "Key"), Member::of("Value", Kind::Text, "Value")],
};

/// v2 `UserGroup`.
pub(super) static USER_GROUP: Record = Record {
    name: "UserGroup",
    about: "A group of users",
    members: &[
        ID,
        Member::of("Name", Kind::Text, "Name").field(Field::Name).max(256).required(),
        Member::of("ExternalId", Kind::Text, "Your own key").field(Field::ExternalId).max(50),
        Member::of("UserIds", GUIDS, "The members; a list that is sent replaces").field(Field::Members),
        COMPANY_ID,
        INTEGRATION_KEY,
    ],
};

/// v2 `Folder`.
pub(super) static FOLDER: Record = Record {
    name: "Folder",
    about: "A folder",
    members: &[
        ID,
        Member::of("Name", Kind::Text, "Name").field(Field::Name).max(256).required(),
        Member::of("ExternalId", Kind::Text, "Your own key").field(Field::ExternalId).max(50),
        Member::of("Description", Kind::Text, "Description").field(Field::Description),
        Member::of("IsRestricted", Kind::Boolean, "Only some may see it"),
        Member::of("RestrictToGroup", Kind::Guid, "The group that may").field(Field::RestrictedTo),
        Member::of("Items", Kind::List("FolderItem", &Kind::Object(&FOLDER_ITEM)), "What lies in it")
            .field(Field::Entries),
        COMPANY_ID,
        INTEGRATION_KEY,
    ],
};

static FOLDER_ITEM: Record = Record {
    name: "FolderItem",
    about: "Something in a folder",
    members: &[
        Member::of("KeyId", Kind::Text, "Its key"),
        Member::of("Type", Kind::Text, "`Screen`, `Doc`, `DataSource`, `Folder` or `TaskTemplate`"),
    ],
};

const fn one(name: &'static str, inner: &'static Record) -> Member {
    Member::of(name, Kind::Object(inner), "The one asked for")
}
const TOTAL_ROWS: Member = Member::of("TotalRows", Kind::Integer, "Rows over all pages");

pub(super) static USER_RESPONSE: Record =
    Record { name: "UserResponse", about: "One user", members: &[one("User", &USER)] };
pub(super) static SUSER_RESPONSE: Record =
    Record { name: "SUserResponse", about: "One user", members: &[one("SUser", &SUSER)] };
pub(super) static USER_GROUP_RESPONSE: Record =
    Record { name: "UserGroupResponse", about: "One group", members: &[one("UserGroup", &USER_GROUP)] };
pub(super) static FOLDER_RESPONSE: Record =
    Record { name: "FolderResponse", about: "One folder", members: &[one("Folder", &FOLDER)] };
pub(super) static USER_PAGE: Record = Record {
    name: "UserSearchResponse",
    about: "A page of users",
    members: &[Member::of("Users", Kind::List("User", &Kind::Object(&USER)), "The page"), TOTAL_ROWS],
};
pub(super) static SUSER_PAGE: Record = Record {
    name: "SUserSearchResponse",
    about: "A page of users",
    members: &[Member::of("SUsers", Kind::List("SUser", &Kind::Object(&SUSER)), "The page"), TOTAL_ROWS],
};
pub(super) static USER_GROUP_PAGE: Record = Record {
    name: "UserGroupSearchResponse",
    about: "A page of groups, without their members",
    members: &[
        Member::of("UserGroups", Kind::List("UserGroup", &Kind::Object(&USER_GROUP)), "The page"),
        TOTAL_ROWS,
    ],
};
pub(super) static FOLDER_PAGE: Record = Record {
    name: "FolderSearchResponse",
    about: "A page of folders",
    members: &[Member::of("Folders", Kind::List("Folder", &Kind::Object(&FOLDER)), "The page"), TOTAL_ROWS],
};

pub(super) static ERROR: Record = Record {
    name: "ErrorResponse",
    about: "What went wrong",
    members: &[Member::of("ResponseStatus", Kind::Object(&RESPONSE_STATUS), "Details")],
};
static RESPONSE_STATUS: Record = Record {
    name: "ResponseStatus",
    about: "Details of what went wrong",
    members: &[
        Member::of("ErrorCode", Kind::Text, "A word for programs"),
        Member::of("Message", Kind::Text, "A sentence for people"),
        Member::of("Errors", Kind::List("ResponseError", &Kind::Object(&RESPONSE_ERROR)), "One per field"),
    ],
};
static RESPONSE_ERROR: Record = Record {
    name: "ResponseError",
    about: "What is wrong with one field",
    members: &[
        Member::of("ErrorCode", Kind::Text, "A word for programs"),
        Member::of("FieldName", Kind::Text, "The field"),
        Member::of("Message", Kind::Text, "A sentence for people"),
    ],
};
