//! The table of all attributes of users, in the order of exports.

use super::Attribute;
use super::AttributeAccess::{Assigned, Privileged, ReadOnly, WriteOnly};
use super::slot::{PRIMARY_EMAIL, PRIMARY_PHOTO, Slot, USER_NAME, address_line, boolean, multi_valued, phone, text};
use crate::{ItemKind, ProfileLinkKind};

/// Declares `Field` and `ATTRIBUTES`, so that no attribute is in only one of them.
macro_rules! attributes {
    [other_fields($($(#[$doc:meta])* $other:ident),* $(,)?), $($field:ident = $attribute:expr),* $(,)?] => {
        /// A field of a user or item. Errors name fields by it, and each dialect translates them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $($field,)*
            $($(#[$doc])* $other,)*
        }

        /// Indexed by [`Field`].
        pub const ATTRIBUTES: &[Attribute] = &[$(Attribute { field: Field::$field, ..$attribute }),*];
    };
}

attributes![
    other_fields(
        // Sub-attributes of multi-valued attributes.
        Value,
        Kind,
        Display,
        Primary,
        Formatted,
        // Of items and requests.
        Name,
        Description,
        Members,
        Entries,
        RestrictedTo,
        Domains,
        OfficeNumbers,
        Url,
        IdempotencyKey,
    ),
    ExternalId = Attribute::new("externalId", text!(external_id), "Identifier in the client's system")
        .max_chars(255)
        .searchable()
        .case_exact()
        .access(Privileged)
        .shared_with(&[ItemKind::Group, ItemKind::Folder])
        .aliases(&["externalkey", "sourceid"]),
    UserName = Attribute::new("userName", USER_NAME, "Name to sign in with")
        .max_chars(255)
        .searchable()
        .access(Privileged)
        .aliases(&["login", "loginname", "uid", "samaccountname", "userprincipalname", "account"])
        .ldap_name("uid"),
    Email = Attribute::new("email", PRIMARY_EMAIL, "Primary email")
        .part_of(Field::Emails)
        .max_chars(255)
        .searchable()
        .access(Privileged)
        .aliases(&[
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
            "adresseélectronique"
        ])
        .ldap_name("mail"),
    Emails = Attribute::new(
        "emails",
        multi_valued!(emails, "work", true),
        "All emails, if there are several or one has a type or display name"
    )
    .access(Privileged),
    GivenName = Attribute::new("givenName", text!(name.given), "First name")
        .max_chars(100)
        .searchable()
        .aliases(&["firstname", "forename", "first", "vorname", "prenom", "prénom", "nombre", "nome", "voornaam"])
        .ldap_name("givenName"),
    FamilyName = Attribute::new("familyName", text!(name.family), "Last name")
        .max_chars(100)
        .searchable()
        .aliases(&[
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
            "achternaam"
        ])
        .ldap_name("sn"),
    MiddleName = Attribute::new("middleName", text!(name.middle), "Middle name").max_chars(100).aliases(&["middle"]),
    HonorificPrefix = Attribute::new("honorificPrefix", text!(name.honorific_prefix), "`Dr`, `Ms`")
        .max_chars(50)
        .searchable()
        .aliases(&["prefix", "salutation", "anrede"]),
    HonorificSuffix = Attribute::new("honorificSuffix", text!(name.honorific_suffix), "`Jr`, `III`")
        .max_chars(50)
        .aliases(&["suffix", "generationqualifier"]),
    FormattedName = Attribute::new("formattedName", text!(name.formatted), "Full name")
        .max_chars(256)
        .aliases(&["fullname", "formatted"]),
    DisplayName = Attribute::new("displayName", text!(profile.display_name), "Name shown in lists")
        .max_chars(256)
        .ldap_name("displayName"),
    NickName = Attribute::new("nickName", text!(profile.nick_name), "Nickname").max_chars(100).aliases(&["nick"]),
    ProfileUrl = Attribute::new("profileUrl", text!(profile.profile_url), "URL of the user's page")
        .max_chars(2048)
        .case_exact()
        .aliases(&["labeleduri", "website"])
        .ldap_name("labeledURI"),
    UserType =
        Attribute::new("userType", text!(profile.user_type), "Relationship to the organization, such as `Employee`")
            .max_chars(100)
            .aliases(&["employeetype"])
            .ldap_name("employeeType"),
    PreferredLanguage = Attribute::new(
        "preferredLanguage",
        text!(profile.preferred_language),
        "Preferred language, as in `Accept-Language`"
    )
    .max_chars(50)
    .aliases(&["language", "lang", "sprache"])
    .ldap_name("preferredLanguage"),
    Locale = Attribute::new("locale", text!(profile.locale), "Locale for dates, numbers and currency").max_chars(50),
    Title = Attribute::new("title", text!(title), "Job title")
        .max_chars(256)
        .searchable()
        .aliases(&["jobtitle", "position", "employeetitle"])
        .ldap_name("title"),
    WorkPhone = Attribute::new("workPhone", phone!("work"), "Work phone")
        .part_of(Field::Phones)
        .max_chars(50)
        .searchable()
        .aliases(&[
            "phone",
            "telephone",
            "telephonenumber",
            "phonenumber",
            "officephone",
            "telefon",
            "téléphone",
            "teléfono",
            "phone1",
            "primaryphone"
        ])
        .ldap_name("telephoneNumber"),
    MobilePhone = Attribute::new("mobilePhone", phone!("mobile"), "Mobile phone")
        .part_of(Field::Phones)
        .max_chars(50)
        .searchable()
        .aliases(&["mobile", "cell", "cellphone", "mobilenumber", "mobil", "handy", "phone2"])
        .ldap_name("mobile"),
    Phones = Attribute::new(
        "phones",
        multi_valued!(phones, "work", false),
        "All phones, if there are others than work and mobile"
    )
    .aliases(&["phonenumbers"]),
    Department = Attribute::new("department", Slot::Department, "Department, by name; created if it does not exist")
        .max_chars(256)
        .searchable()
        .aliases(&[
            "dept",
            "departmentname",
            "departmentnumber",
            "abteilung",
            "ou",
            "departamento",
            "reparto",
            "afdeling"
        ])
        .ldap_name("departmentNumber"),
    Organization =
        Attribute::new("organisation", Slot::Organization, "Organization, by name; created if it does not exist")
            .aliases(&[
                "organization",
                "company",
                "companyname",
                "o",
                "firma",
                "institution",
                "société",
                "empresa",
                "azienda",
                "bedrijf"
            ])
            .ldap_name("o"),
    Office = Attribute::new("office", Slot::Office, "Number of one of the organization's addresses")
        .aliases(&["officeid", "addressid"]),
    EmployeeNumber = Attribute::new("employeeNumber", text!(employment.employee_number), "Employee number")
        .max_chars(256)
        .aliases(&["employeeid", "personnelnumber", "personalnummer"])
        .ldap_name("employeeNumber"),
    CostCenter = Attribute::new("costCenter", text!(employment.cost_center), "Cost center")
        .max_chars(256)
        .aliases(&["costcentre"]),
    Division = Attribute::new("division", text!(employment.division), "Division").max_chars(256),
    Manager = Attribute::new(
        "manager",
        text!(employment.manager),
        "Manager: id, email, user name, external id, name or distinguished name"
    )
    .max_chars(256)
    .case_exact()
    .aliases(&["managerid", "manageremail", "supervisor", "vorgesetzter", "vorgesetzte", "responsable"]),
    AddressLine1 = Attribute::new("addressLine1", address_line!(line1), "Work address, first line")
        .part_of(Field::PostalAddresses)
        .max_chars(256)
        .searchable()
        .aliases(&["street", "streetaddress", "address1", "address", "strasse"])
        .ldap_name("street"),
    AddressLine2 = Attribute::new("addressLine2", address_line!(line2), "Work address, second line")
        .part_of(Field::PostalAddresses)
        .max_chars(256)
        .searchable()
        .aliases(&["address2"]),
    City = Attribute::new("city", address_line!(city), "City")
        .part_of(Field::PostalAddresses)
        .max_chars(100)
        .searchable()
        .aliases(&["l", "locality", "town", "ort", "stadt", "ville", "ciudad", "città"])
        .ldap_name("l"),
    Region = Attribute::new("region", address_line!(region), "Region")
        .part_of(Field::PostalAddresses)
        .max_chars(100)
        .aliases(&[
            "st",
            "state",
            "province",
            "county",
            "stateorprovince",
            "bundesland",
            "estado",
            "stato",
            "etat",
            "état"
        ])
        .ldap_name("st"),
    PostalCode = Attribute::new("postalCode", address_line!(postal_code), "Postal code")
        .part_of(Field::PostalAddresses)
        .max_chars(50)
        .searchable()
        .aliases(&[
            "postcode",
            "zip",
            "zipcode",
            "plz",
            "ziporpostalcode",
            "codepostal",
            "codigopostal",
            "códigopostal"
        ])
        .ldap_name("postalCode"),
    Country = Attribute::new("country", address_line!(country), "Country")
        .part_of(Field::PostalAddresses)
        .max_chars(100)
        .searchable()
        .aliases(&["c", "co", "countrycode", "land", "countryorregion", "pays", "país", "paese"])
        .ldap_name("c"),
    PostalAddresses = Attribute::new(
        "addresses",
        Slot::PostalAddresses,
        "All postal addresses, if there are others than the work address"
    )
    .aliases(&["postaladdresses"]),
    Photo = Attribute::new("photo", PRIMARY_PHOTO, "URL of a photo")
        .part_of(Field::Photos)
        .max_chars(2048)
        .searchable()
        .case_exact()
        .shared_with(&[ItemKind::Organization])
        .aliases(&["photourl", "picture", "avatar"]),
    Photos = Attribute::new("photos", multi_valued!(photos, "photo", true), "All photos"),
    Entitlements =
        Attribute::new("entitlements", multi_valued!(entitlements, "", false), "Entitlements").access(Privileged),
    Certificates =
        Attribute::new("certificates", multi_valued!(certificates, "", false), "X.509 certificates, in Base64")
            .max_chars(16_384)
            .case_exact()
            .access(Privileged)
            .aliases(&["x509certificates"]),
    SocialLinks =
        Attribute::new("socialLinks", Slot::Links(ProfileLinkKind::Social), "Social networks: name and value"),
    CustomLinks = Attribute::new("customLinks", Slot::Links(ProfileLinkKind::Custom), "Other links: name and value"),
    MessagingLinks = Attribute::new("messagingLinks", Slot::Links(ProfileLinkKind::Messaging), "Messaging accounts")
        .aliases(&["ims"]),
    SecretaryName = Attribute::new("secretaryName", text!(secretary.name), "Name of the secretary")
        .max_chars(256)
        .searchable()
        .aliases(&["assistant", "assistantname"]),
    SecretaryEmail = Attribute::new("secretaryEmail", text!(secretary.email), "Email of the secretary")
        .max_chars(255)
        .searchable()
        .aliases(&["assistantemail"]),
    Bio = Attribute::new("bio", text!(bio), "Short biography")
        .max_chars(10_000)
        .searchable()
        .aliases(&["about", "biography"]),
    Source = Attribute::new("source", text!(source), "Source system of the user")
        .max_chars(50)
        .searchable()
        .aliases(&["sourcesystem"]),
    Specialties = Attribute::new("specialities", text!(specialties), "Areas of expertise")
        .max_chars(2048)
        .searchable()
        .aliases(&["skills", "specialties"]),
    Role = Attribute::new("role", Slot::Role, "Role, by name").access(Privileged).aliases(&["rolename", "websiterole"]),
    Roles = Attribute::new("roles", Slot::Roles, "All roles as sent by client systems, if more than `role`")
        .access(Privileged),
    License = Attribute::new("licence", text!(license), "Type of license")
        .max_chars(50)
        .aliases(&["license", "licencetype", "licensetype"])
        .json_name("license"),
    TimeZone =
        Attribute::new("timeZone", text!(time_zone), "Time zone").max_chars(100).aliases(&["tz"]).json_name("timezone"),
    Color = Attribute::new("color", text!(color), "Color in lists").max_chars(50).aliases(&["colour", "colorcode"]),
    Metadata = Attribute::new("metadata", Slot::Metadata, "Custom key-value pairs").aliases(&["customfields"]),
    DoNotEmail =
        Attribute::new("doNotEmail", boolean!(do_not_email), "Send no invitation emails").aliases(&["noemail"]),
    Groups = Attribute::new(
        "groups",
        Slot::Items(ItemKind::Group),
        "Groups, by name, external id or id; created if they do not exist"
    )
    .access(Privileged)
    .aliases(&["group", "memberof", "teams", "team", "gruppen", "gruppe"]),
    Folders = Attribute::new(
        "folders",
        Slot::Items(ItemKind::Folder),
        "Folders, by name, external id or id; created if they do not exist"
    )
    .aliases(&["folder"]),
    Status = Attribute::new("status", Slot::Status, "`invited`, `active`, `suspended`, `inactive` or `archived`")
        .access(Privileged)
        .shared_with(&[ItemKind::Organization])
        .aliases(&[
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
            "situação"
        ]),
    ForcePasswordChange = Attribute::new(
        "forcePasswordChange",
        boolean!(force_password_change),
        "The password must be changed at next sign-in"
    )
    .access(Privileged)
    .aliases(&["mustchangepassword", "changepasswordatnextsignin", "forcechangepasswordnextsignin"]),
    Active = Attribute::new("active", Slot::Active, "Whether the user is active").access(Privileged),
    Password = Attribute::new("password", Slot::Password, "Password").access(WriteOnly).case_exact(),
    Id = Attribute::new("id", Slot::Id, "UUID").access(Assigned).case_exact(),
    Number = Attribute::new("number", Slot::Number, "Number within the tenant").access(Assigned),
    Created = Attribute::new("created", Slot::Timestamp(|user| Some(user.created)), "Time of creation; export only")
        .access(ReadOnly)
        .aliases(&["createddate", "metacreated"]),
    Updated =
        Attribute::new("updated", Slot::Timestamp(|user| Some(user.updated)), "Time of the last change; export only")
            .access(ReadOnly)
            .aliases(&["lastupdated", "metalastmodified"]),
    Invited =
        Attribute::new("invited", Slot::Timestamp(|user| user.invited), "Time of the last invitation; export only")
            .access(ReadOnly),
    LastActivity = Attribute::new(
        "lastActivity",
        Slot::Timestamp(|user| user.last_activity),
        "Time of the last activity; export only"
    )
    .access(ReadOnly)
    .aliases(&["lastlogin"]),
];
