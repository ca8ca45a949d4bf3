//! The table of columns.

use super::RecordKind::{self, Item, User};
use super::{ClientNumber, Column, ColumnKind};
use crate::account_state::{ExpiryUnit, StateRule};
use directory::ItemKind::{Department, Folder, Group, Organization, Role};
use directory::{Field, ProfileLinkKind};

type Kinds = &'static [RecordKind];

const ALL: Kinds = &RecordKind::ALL;
const USERS_AND_ORGANIZATIONS: Kinds = &[User, Item(Organization)];
const WITH_EXTERNAL_ID: Kinds = &[User, Item(Group), Item(Folder)];
const WITH_ID: Kinds = &[User, Item(Group), Item(Folder), Item(Organization)];
const ITEMS: Kinds = &[Item(Group), Item(Folder), Item(Organization), Item(Role), Item(Department)];
const NUMBERED: Kinds = &[Item(Organization), Item(Department)];
const GROUPS: Kinds = &[Item(Group)];
const FOLDERS: Kinds = &[Item(Folder)];
const ORGANIZATIONS: Kinds = &[Item(Organization)];
const ROLES: Kinds = &[Item(Role)];

type Aliases = &'static [&'static str];

const fn column_of(
    record_kinds: Kinds,
    name: &'static str,
    kind: ColumnKind,
    aliases: Aliases,
    description: &'static str,
) -> Column {
    Column { name, kind, aliases, record_kinds, description }
}

const fn column(name: &'static str, kind: ColumnKind, aliases: Aliases, description: &'static str) -> Column {
    column_of(&[User], name, kind, aliases, description)
}

const fn text(name: &'static str, field: Field, aliases: Aliases, description: &'static str) -> Column {
    column(name, ColumnKind::Text(field), aliases, description)
}

const fn state(name: &'static str, rule: StateRule, aliases: Aliases, description: &'static str) -> Column {
    column(name, ColumnKind::AccountState(rule), aliases, description)
}

/// In export order.
pub static COLUMNS: &[Column] = &[
    column_of(
        ALL,
        "kind",
        ColumnKind::RecordKind,
        &["objecttype", "recordtype"],
        "`user`, `group`, `folder`, `organisation`, `department` or `role`; `user` if empty",
    ),
    column_of(WITH_ID, "id", ColumnKind::Id, &["userid", "guid", "uuid"], "UUID; kept when a user or item is created"),
    column_of(NUMBERED, "number", ColumnKind::Number, &["orgid"], "Number of an organization or department"),
    column_of(ITEMS, "name", ColumnKind::Name, &["groupname", "orgname", "foldername"], "Name"),
    column_of(
        WITH_EXTERNAL_ID,
        "externalId",
        ColumnKind::Text(Field::ExternalId),
        &["externalkey", "sourceid"],
        "Identifier in the client's system",
    ),
    text(
        "userName",
        Field::UserName,
        &["login", "loginname", "uid", "samaccountname", "userprincipalname", "account"],
        "Name to sign in with",
    ),
    text(
        "email",
        Field::Email,
        &[
            "mail",
            "emailaddress",
            "emailaddresses",
            "primaryemail",
            "workemail",
            "courriel",
            "correo",
            "correoelectronico",
            "correoelectrónico",
            "adresseemail",
            "adresseélectronique",
        ],
        "Primary email",
    ),
    column(
        "emails",
        ColumnKind::MultiValued(Field::Emails),
        &[],
        "All emails, if there are several or one has a type or display name",
    ),
    text(
        "givenName",
        Field::GivenName,
        &["firstname", "forename", "first", "vorname", "prenom", "prénom", "nombre", "nome", "voornaam"],
        "First name",
    ),
    text(
        "familyName",
        Field::FamilyName,
        &[
            "lastname",
            "surname",
            "sn",
            "last",
            "nachname",
            "nom",
            "nomdefamille",
            "apellido",
            "apellidos",
            "cognome",
            "sobrenome",
            "achternaam",
        ],
        "Last name",
    ),
    text("middleName", Field::MiddleName, &["middle"], "Middle name"),
    text("honorificPrefix", Field::HonorificPrefix, &["prefix", "salutation", "anrede"], "`Dr`, `Ms`"),
    text("honorificSuffix", Field::HonorificSuffix, &["suffix", "generationqualifier"], "`Jr`, `III`"),
    text("formattedName", Field::FormattedName, &["fullname", "formatted"], "Full name"),
    text("displayName", Field::DisplayName, &[], "Name shown in lists"),
    text("nickName", Field::NickName, &["nick"], "Nickname"),
    text("profileUrl", Field::ProfileUrl, &["labeleduri", "website"], "URL of the user's page"),
    text("userType", Field::UserType, &["employeetype"], "Relationship to the organization, such as `Employee`"),
    text(
        "preferredLanguage",
        Field::PreferredLanguage,
        &["language", "lang", "sprache"],
        "Preferred language, as in `Accept-Language`",
    ),
    text("locale", Field::Locale, &[], "Locale for dates, numbers and currency"),
    text("title", Field::Title, &["jobtitle", "position", "employeetitle"], "Job title"),
    text(
        "workPhone",
        Field::WorkPhone,
        &[
            "phone",
            "telephone",
            "telephonenumber",
            "phonenumber",
            "officephone",
            "telefon",
            "téléphone",
            "teléfono",
            "phone1",
            "primaryphone",
        ],
        "Work phone",
    ),
    text(
        "mobilePhone",
        Field::MobilePhone,
        &["mobile", "cell", "cellphone", "mobilenumber", "mobil", "handy", "phone2"],
        "Mobile phone",
    ),
    column(
        "phones",
        ColumnKind::MultiValued(Field::Phones),
        &["phonenumbers"],
        "All phones, if there are others than work and mobile",
    ),
    column(
        "department",
        ColumnKind::Department,
        &["dept", "departmentname", "departmentnumber", "abteilung", "ou", "departamento", "reparto", "afdeling"],
        "Department, by name; created if it does not exist",
    ),
    column(
        "organisation",
        ColumnKind::Organization,
        &[
            "organization",
            "company",
            "companyname",
            "o",
            "firma",
            "institution",
            "société",
            "empresa",
            "azienda",
            "bedrijf",
        ],
        "Organization, by name; created if it does not exist",
    ),
    column("office", ColumnKind::Office, &["officeid", "addressid"], "Number of one of the organization's addresses"),
    text(
        "employeeNumber",
        Field::EmployeeNumber,
        &["employeeid", "personnelnumber", "personalnummer"],
        "Employee number",
    ),
    text("costCenter", Field::CostCenter, &["costcentre"], "Cost center"),
    text("division", Field::Division, &[], "Division"),
    text(
        "manager",
        Field::Manager,
        &["managerid", "manageremail", "supervisor", "vorgesetzter", "vorgesetzte", "responsable"],
        "Manager: id, email, user name, external id, name or distinguished name",
    ),
    text(
        "addressLine1",
        Field::AddressLine1,
        &["street", "streetaddress", "address1", "address", "strasse"],
        "Work address, first line",
    ),
    text("addressLine2", Field::AddressLine2, &["address2"], "Work address, second line"),
    text("city", Field::City, &["l", "locality", "town", "ort", "stadt", "ville", "ciudad", "città"], "City"),
    text(
        "region",
        Field::Region,
        &["st", "state", "province", "county", "stateorprovince", "bundesland", "estado", "stato", "etat", "état"],
        "Region",
    ),
    text(
        "postalCode",
        Field::PostalCode,
        &["postcode", "zip", "zipcode", "plz", "ziporpostalcode", "codepostal", "codigopostal", "códigopostal"],
        "Postal code",
    ),
    text(
        "country",
        Field::Country,
        &["c", "co", "countrycode", "land", "countryorregion", "pays", "país", "paese"],
        "Country",
    ),
    column(
        "addresses",
        ColumnKind::PostalAddresses,
        &["postaladdresses"],
        "All postal addresses, if there are others than the work address",
    ),
    column_of(
        USERS_AND_ORGANIZATIONS,
        "photo",
        ColumnKind::Text(Field::Photo),
        &["photourl", "picture", "avatar"],
        "URL of a photo",
    ),
    column("photos", ColumnKind::MultiValued(Field::Photos), &[], "All photos"),
    column("entitlements", ColumnKind::MultiValued(Field::Entitlements), &[], "Entitlements"),
    column(
        "certificates",
        ColumnKind::MultiValued(Field::Certificates),
        &["x509certificates"],
        "X.509 certificates, in Base64",
    ),
    column("socialLinks", ColumnKind::Links(ProfileLinkKind::Social), &[], "Social networks: name and value"),
    column("customLinks", ColumnKind::Links(ProfileLinkKind::Custom), &[], "Other links: name and value"),
    column("messagingLinks", ColumnKind::Links(ProfileLinkKind::Messaging), &["ims"], "Messaging accounts"),
    text("secretaryName", Field::SecretaryName, &["assistant", "assistantname"], "Name of the secretary"),
    text("secretaryEmail", Field::SecretaryEmail, &["assistantemail"], "Email of the secretary"),
    text("bio", Field::Bio, &["about", "biography"], "Short biography"),
    text("source", Field::Source, &["sourcesystem"], "Source system of the user"),
    text("specialities", Field::Specialties, &["skills", "specialties"], "Areas of expertise"),
    column("role", ColumnKind::Role, &["rolename", "websiterole"], "Role, by name"),
    column("roles", ColumnKind::Roles, &[], "All roles as sent by client systems, if more than `role`"),
    text("licence", Field::License, &["license", "licencetype", "licensetype"], "Type of license"),
    text("timeZone", Field::TimeZone, &["tz"], "Time zone"),
    text("color", Field::Color, &["colour", "colorcode"], "Color in lists"),
    column("metadata", ColumnKind::Metadata, &["customfields"], "Custom key-value pairs"),
    column("doNotEmail", ColumnKind::DoNotEmail, &["noemail"], "Send no invitation emails"),
    column(
        "groups",
        ColumnKind::Groups,
        &["group", "memberof", "teams", "team", "gruppen", "gruppe"],
        "Groups, by name, external id or id; created if they do not exist",
    ),
    column(
        "folders",
        ColumnKind::Folders,
        &["folder"],
        "Folders, by name, external id or id; created if they do not exist",
    ),
    column_of(
        USERS_AND_ORGANIZATIONS,
        "status",
        ColumnKind::Status,
        &[
            "userstatus",
            "accountstatus",
            "newstatus",
            "inetuserstatus",
            "employmentstatus",
            "mitarbeiterstatus",
            "benutzerstatus",
            "kontostatus",
            "accountstate",
            "kontozustand",
            "statut",
            "estatus",
            "situação",
        ],
        "`invited`, `active`, `suspended`, `inactive` or `archived`",
    ),
    state(
        "active",
        StateRule::Enabled,
        &["enabled", "orclisenabled", "aktiv", "aktiviert", "actif", "activo", "attivo"],
        "Whether the user is active",
    ),
    state(
        "disabled",
        StateRule::Disabled,
        &[
            "blocked",
            "blocksignin",
            "blockcredential",
            "locked",
            "deactivated",
            "inactive",
            "nsaccountlock",
            "logindisabled",
            "msdsuseraccountdisabled",
            "dspwpaccountdisabled",
            "disabledat",
            "deactivatedat",
            "blockedat",
            "gesperrt",
            "anmeldunggesperrt",
            "deaktiviert",
            "deaktiviertam",
            "inaktiv",
            "désactivé",
            "bloqueado",
        ],
        "Whether the user is inactive",
    ),
    state("suspended", StateRule::Suspended, &["suspendedat"], "Whether the user is suspended"),
    state("archived", StateRule::Archived, &["archivedat"], "Whether the user is archived"),
    state(
        "deleted",
        StateRule::Deleted,
        &["deletedat", "gelöscht"],
        "Whether the user is deleted; such users are not created, and are deactivated by `--update`",
    ),
    state("userAccountControl", StateRule::AccountControl, &[], "Active Directory: bit 2 means inactive"),
    state(
        "pwdAccountLockedTime",
        StateRule::LockedTime,
        &[],
        "OpenLDAP: `000001010000Z` means inactive; other values are temporary locks",
    ),
    state("auth", StateRule::AuthMethod, &[], "Moodle: `nologin` means inactive"),
    state("sambaAcctFlags", StateRule::SambaFlags, &[], "Samba: `D` means inactive"),
    state(
        "accountExpires",
        StateRule::Expires(ExpiryUnit::FileTime),
        &[],
        "Active Directory: expiry time in 100 ns since 1601; inactive if past, 0 means never",
    ),
    state(
        "shadowExpire",
        StateRule::Expires(ExpiryUnit::Days),
        &[],
        "Expiry time in days since 1970; inactive if past, -1 means never",
    ),
    state(
        "krbPrincipalExpiration",
        StateRule::Expires(ExpiryUnit::GeneralizedTime),
        &[],
        "Kerberos: expiry time as a generalized time (RFC 4517); inactive if past",
    ),
    column(
        "forcePasswordChange",
        ColumnKind::ForcePasswordChange,
        &["mustchangepassword", "changepasswordatnextsignin", "forcechangepasswordnextsignin"],
        "The password must be changed at next sign-in",
    ),
    column_of(FOLDERS, "description", ColumnKind::Text(Field::Description), &[], "Description"),
    column_of(
        FOLDERS,
        "isRestricted",
        ColumnKind::IsRestricted,
        &["restricted"],
        "Whether access to the folder is restricted",
    ),
    column_of(FOLDERS, "restrictedTo", ColumnKind::RestrictedTo, &[], "Group with access to a restricted folder"),
    column_of(FOLDERS, "entries", ColumnKind::FolderEntries, &[], "Contents of the folder: key and kind"),
    column_of(ORGANIZATIONS, "domains", ColumnKind::Domains, &["domain"], "Email domains"),
    column_of(
        ORGANIZATIONS,
        "offices",
        ColumnKind::Offices,
        &["addressids"],
        "Numbers of the organization's addresses, the default one first",
    ),
    column_of(ORGANIZATIONS, "url", ColumnKind::Text(Field::Url), &[], "URL of the organization's page"),
    column_of(ORGANIZATIONS, "autoLogin", ColumnKind::AutoLogin, &[], "Auto-login flag of the client system"),
    column_of(
        ORGANIZATIONS,
        "homepage",
        ColumnKind::ClientNumber(ClientNumber::Homepage),
        &[],
        "A number of the client system",
    ),
    column_of(
        ORGANIZATIONS,
        "guidNumber",
        ColumnKind::ClientNumber(ClientNumber::Guid),
        &[],
        "A number of the client system",
    ),
    column_of(
        ORGANIZATIONS,
        "industry",
        ColumnKind::ClientNumber(ClientNumber::Industry),
        &[],
        "A number of the client system",
    ),
    column_of(
        ORGANIZATIONS,
        "category",
        ColumnKind::ClientNumber(ClientNumber::Category),
        &[],
        "A number of the client system",
    ),
    column_of(ORGANIZATIONS, "keyContacts", ColumnKind::KeyContacts, &[], "User numbers of the key contacts"),
    column_of(ROLES, "rank", ColumnKind::Rank, &["worth"], "Built-in role that a custom role corresponds to"),
    column_of(
        GROUPS,
        "members",
        ColumnKind::Members,
        &["member", "uniquemember", "memberuid", "users"],
        "Members of a group: ids, emails, user names, external ids or distinguished names",
    ),
    column(
        "password",
        ColumnKind::Password,
        &["pwd", "initialpassword", "passwordprofile", "passwort", "kennwort"],
        "Password in clear text; hashed on import, never exported",
    ),
    column(
        "passwordHash",
        ColumnKind::PasswordHash,
        &["hash", "passworddigest", "userpass"],
        "Password hash: Argon2, bcrypt, PBKDF2 or scrypt",
    ),
    column("passwordHashFunction", ColumnKind::PasswordHashFunction, &[], "Google: the value of `password` is a hash"),
    column(
        "userPassword",
        ColumnKind::LdapPassword,
        &[],
        "LDAP: a hash with its scheme, as in `passwordHash`, or clear text, which is hashed",
    ),
    column("userNumber", ColumnKind::Number, &[], "Number within the tenant; export only"),
    column(
        "created",
        ColumnKind::Timestamp(Field::Created),
        &["createddate", "metacreated"],
        "Time of creation; export only",
    ),
    column(
        "updated",
        ColumnKind::Timestamp(Field::Updated),
        &["lastupdated", "metalastmodified"],
        "Time of the last change; export only",
    ),
    column("invited", ColumnKind::Timestamp(Field::Invited), &[], "Time of the last invitation; export only"),
    column(
        "lastActivity",
        ColumnKind::Timestamp(Field::LastActivity),
        &["lastlogin"],
        "Time of the last activity; export only",
    ),
    column_of(ALL, "dn", ColumnKind::Dn, &["distinguishedname"], "Distinguished name of a directory entry"),
    column_of(ALL, "objectClass", ColumnKind::ObjectClass, &[], "Object classes of a directory entry"),
    column_of(ALL, "importRow", ColumnKind::Ignored, &[], "Number of a rejected row; ignored"),
    column_of(ALL, "importReason", ColumnKind::Ignored, &[], "Reason for a rejection; ignored"),
];
