"""Names and identifiers that are spelled in more than one way, written as escapes so that no editor changes them."""


def person(user_name, external=None, **more):
    """A user as SCIM spells it."""
    return {"userName": user_name, **({"externalId": external} if external else {}), **more}


def mail(address):
    """A user known by an email."""
    return {"userName": address, "emails": [{"value": address, "type": "work", "primary": True}]}


# Users by themselves: what it is, and the user.
NAMES = [
    ("given name in NFC", person("names.nfc", name={"givenName": "Zo\u00eb", "familyName": "\u00c5ngstr\u00f6m"})),
    ("given name in NFD", person("names.nfd", name={"givenName": "Zoe\u0308", "familyName": "A\u030angstro\u0308m"})),
    ("display name with spaces around", person("names.spaces", displayName=" Spaces around ")),
    ("full-width display name", person("names.wide", displayName="\uff37\uff49\uff44\uff45")),
    ("display name with a tab and a line feed", person("names.lines", displayName="one\ttwo\nthree")),
    ("right-to-left mark", person("names.rtl", displayName="\u202etxt.exe")),
    ("external id with a trailing space", person("external.space", "X-1 ")),
    ("external id with a tab", person("external.tab", "X\t1")),
    ("an email at an IDN", mail("only@stra\u00dfe.example")),
]

# Two users each: what differs, the first, the second, and the status 0.1.0 answers to the second.
COLLISIONS = [
    ("user name, NFC and NFD", person("ren\u00e9"), person("rene\u0301"), 201),
    ("user name, Hangul syllable and jamo", person("\ud55c"), person("\u1112\u1161\u11ab"), 201),
    ("user name, Angstrom sign and decomposed letter", person("\u212b.one"), person("A\u030a.one"), 201),
    ("user name, full width", person("wide"), person("\uff57\uff49\uff44\uff45"), 201),
    ("user name, half-width katakana", person("\u30ab"), person("\uff76"), 201),
    ("user name, zero-width space", person("zero"), person("ze\u200bro"), 201),
    ("user name, trailing zero-width space", person("trail"), person("trail\u200b"), 201),
    ("user name, soft hyphen", person("hyphen"), person("hy\u00adphen"), 201),
    ("user name, line separator inside", person("line"), person("li\u2028ne"), 201),
    ("user name, tab inside", person("tab.name"), person("tab\t.name"), 201),
    ("user name, line feed inside", person("feed.name"), person("feed\n.name"), 201),
    ("user name, unassigned character", person("unassigned"), person("unassigned\u0378"), 201),
    ("user name, private use", person("private"), person("private\ue000"), 201),
    ("email, NFC and NFD", mail("jos\u00e9@example.net"), mail("jose\u0301@example.net"), 201),
    ("email, IDN and punycode", mail("idn@b\u00fccher.example"), mail("idn@xn--bcher-kva.example"), 201),
    ("email, IDN in NFD", mail("nfd@b\u00fccher.example"), mail("nfd@bu\u0308cher.example"), 201),
    ("email, full width", mail("full@example.net"), mail("\uff46\uff55\uff4c\uff4c@example.net"), 201),
    ("email, full-width domain", mail("dom@example.net"), mail("dom@\uff45xample.net"), 201),
    ("email, ideographic full stop", mail("dot@example.net"), mail("dot@example\u3002net"), 201),
    ("email, zero-width space", mail("zw@example.net"), mail("z\u200bw@example.net"), 201),
    ("external id, NFC and NFD", person("ext.nfc", "n\u00e9-1"), person("ext.nfd", "ne\u0301-1"), 201),
    ("external id, case", person("ext.lower", "case-1"), person("ext.upper", "CASE-1"), 201),
    ("external id, trailing space", person("ext.plain", "sp-1"), person("ext.space", "sp-1 "), 201),
    ("user name and email of another", person("both@example.net"), mail("both@example.NET"), 409),
    ("user name, case", person("Case"), person("cASE"), 409),
    ("user name, sharp s", person("stra\u00dfe"), person("STRASSE"), 409),
    ("user name, final sigma", person("\u03a3\u0391\u03a3"), person("\u03c3\u03b1\u03c2"), 409),
    ("user name, Angstrom sign", person("\u212b.two"), person("\u00e5.two"), 409),
    ("user name, Kelvin sign", person("\u212a.one"), person("k.one"), 409),
    ("user name, ligature", person("\ufb01sh"), person("FISH"), 409),
    ("user name, trailing space", person("trailing"), person("trailing "), 400),
    ("user name, NUL", person("nul"), person("nul\0"), 400),
    ("user name, no-break space at the end", person("nbsp"), person("nbsp\u00a0"), 400),
]

# Users with passwords that are spelled in more than one way; each signs in with exactly these bytes.
PASSWORDS = [
    ("password.nfc", "p\u00e4ssw\u00f6rter im teich"),
    ("password.nfd", "pa\u0308sswo\u0308rter im teich"),
    ("password.space", "vier\u00a0rote\u2003fische"),
    ("password.wide", "\uff56\uff49\uff45\uff52 fische im teich"),
    ("mot-de-passe.\u00e9", "sign in by NFC"),
    ("mot-de-passe.e\u0301", "sign in by NFD"),
]

# A user with everything that SCIM can set.
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
EXTENSION = "urn:muster:params:scim:schemas:extension:2.0:User"
RICH = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE, EXTENSION],
    "userName": "rich.user", "externalId": "rich-1", "displayName": "Rich", "nickName": "Richie", "title": "Chief",
    "name": {"formatted": "Dr Rich M. User III", "familyName": "User", "givenName": "Rich", "middleName": "M.",
             "honorificPrefix": "Dr", "honorificSuffix": "III"},
    "profileUrl": "https://people.example/rich", "userType": "Employee", "preferredLanguage": "de-CH",
    "locale": "de-CH", "timezone": "Europe/Zurich", "active": True, "password": "password of rich",
    "emails": [{"value": "rich@example.com", "type": "work", "primary": True, "display": "Rich"},
               {"value": "re\u0301@home.example", "type": "home"}, {"value": "r\u00e9@home.example", "type": "other"}],
    "phoneNumbers": [{"value": "+41 1", "type": "work"}, {"value": "+41 2", "type": "mobile"},
                     {"value": "+41 3", "type": "fax"}],
    "ims": [{"value": "rich", "type": "skype"}],
    "photos": [{"value": "https://people.example/rich.png", "type": "photo"}],
    "addresses": [{"type": "work", "streetAddress": "1 Way\nFloor 2", "locality": "Z\u00fcrich", "country": "CH"},
                  {"type": "home", "formatted": "At home", "postalCode": "8000", "region": "ZH"}],
    "entitlements": [{"value": "printing"}],
    "roles": [{"value": "Clerk", "primary": True, "display": "A clerk"}, {"value": "unknown"}],
    "x509Certificates": [{"value": "MIIB"}],
    ENTERPRISE: {"employeeNumber": "1", "costCenter": "2", "organization": "Acme", "division": "D",
                 "department": "Sales"},
    EXTENSION: {"bio": "Hello", "metadata": "team=a\nfloor=2", "socialLinks": "LinkedIn=https://l.example/rich",
                "customLinks": "Wiki=https://w.example/rich", "doNotEmail": True},
}
