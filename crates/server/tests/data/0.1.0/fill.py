"""Fills a store over every dialect, the pages and the command line, and notes what tests need to know of it."""

import json
import pathlib
import time
import urllib.parse

from spellings import COLLISIONS, ENTERPRISE, EXTENSION, NAMES, PASSWORDS, RICH
from wire import Browser, RejectingMailServer, wait_until

HERE = pathlib.Path(__file__).parent
GOOD = "vier rote fische im teich"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
# What is compared of every user: nothing that depends on when it was stored.
SHOWN = f"userName,externalId,name,active,emails,roles,groups.display,{EXTENSION}:number,{EXTENSION}:status"
EVERYBODY = "/scim/v2/Users?count=1000&attributes=" + SHOWN

ACME, OTHER, SPELLING = 1, 7, 20


class Fill:
    """One store that is being filled."""

    def __init__(self, muster):
        self.muster, self.keys = muster, {}
        self.facts = {
            "connections": [], "passwords": [], "links": [], "above_ceiling": [], "collisions": [], "rejected": [],
        }

    def connection(self, tenant, name, *flags, opens="scim"):
        """A connection, with a request that its key allows; `opens` is the dialect of that request."""
        added = self.muster.cli("connection", "add", name, "--tenant", tenant, *flags)
        probe = {
            "scim": ("/scim/v2/Users?count=1", "/totalResults"),
            "onfire": (f"/api/v2/user/search?format=json&CompanyId={tenant}&IntegrationKey={{key}}", "/TotalRows"),
            "ccs": ("/request/user", "length"),
            "publisher": ("/api/2/users", "/users/totalcount"),
            "transfer": ("/v1/exports/users.ndjson?kind=user&columns=id", "lines"),
            "sign-in": (None, None),
        }[opens]
        fact = {name: added[name] for name in ("id", "tenant", "name", "dialects", "access", "highestRole", "profile")}
        fact.update(keys=[added["key"]], request=probe[0], count=probe[1])
        self.facts["connections"].append(fact)
        self.keys[tenant, name] = added["key"]
        return added["key"]

    def fact(self, name):
        return next(fact for fact in self.facts["connections"] if fact["name"] == name)

    def scim(self, method, path, body=None, status=200, key=None):
        return self.muster.call(
            method, "/scim/v2" + path, key or self.keys[ACME, "admin"], body, status, "application/scim+json")

    def patch(self, path, operations, status=200, key=None):
        return self.scim("PATCH", path, {"schemas": [PATCH], "Operations": operations}, status, key)

    def onfire(self, method, name, body, version=2):
        company = "CompanyId" if version == 2 else "ProviderId"
        body = {company: ACME, "IntegrationKey": self.keys[ACME, "main"], **body}
        headers = {"X-Http-Method-Override": method}
        return self.muster.call("POST", f"/api/v{version}/{name}?format=json", None, body, headers=headers)

    def sign_in(self, user, password, status=200, tenant=ACME, address="192.0.2.10"):
        body = {"user": user, "password": password, "address": address}
        return self.muster.call("POST", "/v1/sign-in", self.keys[tenant, "asking"], body, status)

    def password(self, user, password, tenant=ACME, status=200):
        """Notes a password that signs in, or does not."""
        self.facts["passwords"].append({"tenant": tenant, "user": user, "password": password, "status": status})

    # Settings and connections

    def settings(self):
        cli, folder = self.muster.cli, self.muster.folder
        cli("tenant", "add", "Acme Ltd")
        cli("tenant", "add", "B\u00fccher & S\u00f6hne", "--number", OTHER)
        cli("tenant", "add", "Spelling", "--number", SPELLING)
        cli("tenant", "set", "--tenant", OTHER, "--invitation-hours", 48, "--min-password", 16,
            "--sender-name", "B\u00fccher", "--mails-to", "office@example.org")
        template = folder / "invitation.txt"
        template.write_text("Hallo {{ name }}: {{ link }} gilt {{ lasts }}.\n")
        cli("tenant", "template", "invitation.txt", template, "--tenant", OTHER)
        cli("role", "add", "Lead", "--rank", "Admin", "--tenant", ACME)
        cli("role", "add", "Clerk", "--tenant", ACME)
        for name in ("K\u00fcrzel", "Ku\u0308rzel"):
            cli("role", "add", name, "--tenant", SPELLING)

    def connections(self):
        add = self.connection
        # No dialect is named: the stored list is empty and means all.
        add(ACME, "main")
        add(ACME, "admin", "--highest-role", "SuperAdmin")
        add(ACME, "all for users", "--highest-role", "User", opens="ccs")
        add(ACME, "forms", "--dialect", "onfire", opens="onfire")
        add(ACME, "portal", "--dialect", "ccs", opens="ccs")
        add(ACME, "press", "--dialect", "publisher", opens="publisher")
        add(ACME, "two", "--dialect", "scim", "--dialect", "publisher", opens="publisher")
        for profile in ("rfc", "entra", "okta", "strict"):
            add(ACME, profile, "--dialect", "scim", "--profile", profile)
        # A profile without a dialect: 0.1.0 lets it use all.
        add(ACME, "entra without a dialect", "--profile", "entra", opens="onfire")
        add(ACME, "users only", "--dialect", "scim", "--highest-role", "User")
        add(ACME, "reader", "--dialect", "scim", "--read-only")
        add(ACME, "asking", "--dialect", "sign-in", opens="sign-in")
        add(ACME, "loader", "--dialect", "transfer", opens="transfer")
        add(ACME, "small loader", "--dialect", "transfer", "--highest-role", "User", opens="transfer")
        add(ACME, "for 90 days", "--dialect", "scim", "--expires", "90d")
        add(ACME, "expired", "--dialect", "scim", "--expires", "1s")
        add(ACME, "revoked", "--dialect", "scim")
        self.muster.cli("connection", "revoke", "revoked", "--tenant", ACME)
        add(ACME, "rotated", "--dialect", "scim")
        again = self.muster.cli("connection", "rotate", "rotated", "--tenant", ACME)
        self.fact("rotated")["keys"].append(again["key"])
        add(ACME, "with a public key", "--dialect", "scim", "--public-key", HERE / "client.pub.pem")
        for tenant in (OTHER, SPELLING):
            add(tenant, "admin", "--highest-role", "SuperAdmin")
            add(tenant, "asking", "--dialect", "sign-in", opens="sign-in")
        for name in ("caf\u00e9", "cafe\u0301"):
            add(SPELLING, name, "--dialect", "scim")

    # The dialects

    def over_onfire(self):
        group = self.onfire("POST", "usergroup", {"Name": "Staff", "ExternalId": "G-1"})["UserGroup"]["Id"]
        self.onfire("POST", "folder", {
            "Name": "Forms", "Description": "All of them", "IsRestricted": True, "RestrictToGroup": group,
            "Items": [{"KeyId": "7", "Type": "doc"}]})
        self.onfire("POST", "user", {
            "Email": "Ann@example.com", "FirstName": "Ann", "LastName": "O'Neill & S\u00f6hne", "ExternalId": "E-1",
            "WebsiteRole": "Admin", "Type": "Premium", "TimeZone": "Central Standard Time", "Country": "BA",
            "ColorCode": "#ff0000", "Metadata": [{"Key": "a", "Value": "1"}], "UseNames": True,
            "Groups": ["Staff"], "Folders": ["Forms"]})
        for name in ("linked", "superseded", "waiting", "later", "never", "forgetful", "session"):
            self.onfire("POST", "user", {
                "Email": f"{name}@example.com", "FirstName": name.title(), "LastName": "Lee",
                "DoNotEmail": name in ("waiting", "later", "never")})
        key = self.keys[ACME, "main"]
        for version, root, company in ((1, "SUser", "ProviderId"), (2, "User", "CompanyId")):
            space = "http://schemas.servicestack.net/types"
            if version == 2:
                space = ""
            body = (f'<{root} xmlns="{space}"><Email>xml{version}@example.com</Email><FirstName>Xml</FirstName>'
                    f"<IntegrationKey>{key}</IntegrationKey><LastName>Lee</LastName>"
                    f"<{company}>{ACME}</{company}></{root}>")
            path = {1: "/api/v1/suser", 2: "/api/v2/user"}[version]
            self.muster.call("POST", path, None, body, kind="application/xml")
        json1 = {"Email": "json1@example.com", "FirstName": "Json", "LastName": "Lee", "Password": "long enough 1"}
        self.onfire("POST", "suser", json1, version=1)
        self.password("json1@example.com", "long enough 1")
        gone = self.onfire("POST", "user", {
            "Email": "gone@example.com", "FirstName": "Gone", "LastName": "Lee", "ExternalId": "gone-1",
            "UseNames": True, "Groups": ["Staff"], "Password": "long enough 2"})["User"]["Id"]
        self.onfire("PUT", "user", {"Id": gone, "Country": "IT"})
        self.onfire("DELETE", "user", {"Id": gone})

    def over_ccs(self):
        call, key = self.muster.call, self.keys[ACME, "portal"]
        call("POST", "/request/user", key, {
            "title": "Dr", "firstName": "Ccs", "lastName": "Json", "phone": "1", "email": "ccs-json@example.com",
            "password": "long enough 3", "roleId": 2, "departmentId": 64, "forcePasswordChange": True})
        space = "http://schemas.datacontract.org/2004/07/CCSCommercialAPI.Models.Users"
        call("POST", "/request/user", key,
             f'<UserPost xmlns="{space}"><Email>ccs-xml@example.com</Email><FirstName>Ccs</FirstName>'
             "<RoleId>3</RoleId></UserPost>", kind="application/xml")
        call("POST", "/request/user", key,
             "firstName=Ccs&lastName=Form&email=ccs-form%40example.com&roleId=1&password=long+enough+4",
             kind="application/x-www-form-urlencoded")
        number = call("POST", "/request/user", key, {
            "firstName": "Ccs", "email": "ccs-changed@example.com", "roleId": 2, "password": "long enough 5"})["id"]
        call("PUT", f"/request/user/{number}", key, {
            "firstName": "Changed", "email": "ccs-changed@example.com", "roleId": 7, "password": "long enough 6"})
        number = call("POST", "/request/user", key, {
            "firstName": "Gone", "email": "ccs-gone@example.com", "roleId": 2})["id"]
        call("DELETE", f"/request/user/{number}", key, status=204)
        # The email of somebody who was deleted is free.
        call("POST", "/request/user", key, {"firstName": "New", "email": "ccs-gone@example.com", "roleId": 2})
        for user, number in (("ccs-json", 3), ("ccs-form", 4), ("ccs-changed", 6)):
            self.password(f"{user}@example.com", f"long enough {number}")
        self.password("ccs-changed@example.com", "long enough 5", status=401)

    def over_publisher(self):
        call, key = self.muster.call, self.keys[ACME, "press"]
        call("POST", "/ctx/api/2/users", key, {"user": {
            "name": {"firstname": "Pub", "lastname": "Json"}, "email": "pub-json@example.com", "department": "Sales",
            "organisation": {"orgname": "Acme", "orgid": 75, "orgaddressid": 98},
            "sociallinks": {"link": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}}})
        call("POST", "/api/2/users", key,
             "<user><name><firstname>Pub</firstname></name><email>pub-xml@example.com</email>"
             "<status>suspended</status><location><city>Rome</city></location></user>", kind="application/xml")
        for name in ("archived", "disabled", "reinstated", "invited"):
            call("POST", "/api/2/users", key, {"user": {"name": {"firstname": name}, "email": f"{name}@example.com"}})
        call("POST", "/api/2/users/archived@example.com/archive", key)
        call("POST", "/api/2/users/disable", key, {"users": {"user": ["disabled@example.com"]}})
        call("PUT", "/api/2/users/reinstated@example.com", key, {"user": {
            "name": {"firstname": "Re"}, "email": "reinstated@example.com", "status": "suspended"}})
        call("POST", "/api/2/users/reinstated@example.com/reinstate", key)
        self.muster.call("POST", "/request/user", self.keys[ACME, "portal"], {
            "firstName": "Sus", "email": "suspended@example.com", "roleId": 2, "password": "long enough 9"})
        call("PUT", "/api/2/users/suspended@example.com", key, {"user": {
            "name": {"firstname": "Sus"}, "email": "suspended@example.com", "status": "suspended"}})
        self.password("suspended@example.com", "long enough 9", status=401)
        call("POST", "/api/2/users/invite", key, {"emailAddress": ["invited@example.com"]})
        call("POST", "/api/2/groups", key, {"group": {
            "name": "Readers", "users": {"user": ["pub-json@example.com"]}}})
        for name, domain in (("IDN", "b\u00fccher.example"), ("Punycode", "xn--bcher-kva.example")):
            made = call("POST", "/api/2/organisations", key, {"organisation": {"name": name}})
            number = made["organisation"]["id"]
            call("POST", f"/api/2/organisations/{number}/domains", key, {"domain": {"url": domain}})

    def over_scim(self):
        for name in ("rfc", "entra", "okta", "strict"):
            key = self.keys[ACME, name]
            user = self.scim("POST", "/Users", {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
                "userName": f"{name}.user", "externalId": f"{name}-1", "active": True,
                "name": {"givenName": name.title(), "familyName": "User"},
                "emails": [{"value": f"{name}@example.com", "type": "work", "primary": True},
                           {"value": f"{name}@home.example", "type": "home"}],
                "roles": [{"value": "User", "primary": True}, {"value": "whatever the client calls it"}],
                "password": f"password of {name}",
                ENTERPRISE: {"department": "Research", "organization": "Acme", "employeeNumber": name}}, 201, key)
            operation = {"op": "replace", "path": "title", "value": "Clerk"}
            if name == "entra":
                operation = {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "1"}
            if name == "okta":
                operation = {"op": "replace", "value": {"name.familyName": "Changed"}}
            self.patch(f"/Users/{user['id']}", [operation], key=key)
            self.password(f"{name}.user", f"password of {name}")
        rfc = self.id_of("rfc.user")
        self.patch(f"/Users/{self.id_of('okta.user')}", [
            {"op": "add", "path": f"{ENTERPRISE}:manager", "value": rfc}])
        self.scim("POST", "/Groups", {"displayName": "Everybody", "externalId": "g-2", "members": [
            {"value": self.id_of(name)} for name in ("rfc.user", "entra.user", "ann@example.com")]}, 201)
        self.scim("POST", "/Bulk", {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [
                {"method": "POST", "path": "/Groups", "bulkId": "g",
                 "data": {"displayName": "Bulk", "members": [{"value": "bulkId:u"}]}},
                {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"userName": "bulk.user"}}]})
        self.scim("POST", "/Users", RICH, 201)
        user = self.scim("POST", "/Users", {"userName": "inactive.user", "password": "long enough 8"}, 201)
        self.patch(f"/Users/{user['id']}", [{"op": "replace", "path": "active", "value": False}])
        self.password("inactive.user", "long enough 8", status=401)
        # Deleted with an external id, and created again under it: the same user comes back.
        for name in ("revived", "revivable"):
            user = self.scim("POST", "/Users", {
                "userName": f"{name}.user", "externalId": f"{name}-1", "password": "before it was deleted"}, 201)
            self.scim("DELETE", f"/Users/{user['id']}", status=204)
        back = self.scim("POST", "/Users", {"userName": "revived.again", "externalId": "revived-1"}, 201)
        self.facts["revivable"] = {"externalId": "revivable-1", "id": user["id"]}
        assert back["externalId"] == "revived-1"

    def id_of(self, name, tenant=ACME):
        query = urllib.parse.urlencode({"filter": f"userName eq {json.dumps(name)}", "attributes": "id"})
        found = self.scim("GET", "/Users?" + query, key=self.keys[tenant, "admin"])["Resources"]
        if len(found) != 1:
            raise SystemExit(f"{name}: {found}")
        return found[0]["id"]

    def above_ceilings(self):
        """Role lists that a connection up to `User` must not set, and that 0.1.0 stores all the same."""
        key = self.keys[ACME, "users only"]

        def entry(*names):
            return [{"value": name} for name in names]

        def note(name, how):
            self.facts["above_ceiling"].append({
                "tenant": ACME, "userName": name, "connection": "users only", "ceiling": "User", "how": how})

        self.scim("POST", "/Users", {"userName": "ceiling.one", "roles": entry("SuperAdmin")}, 403, key)
        self.facts["rejected"].append({
            "tenant": ACME, "what": "first role above the ceiling", "connection": "users only", "userName": "ceiling.one"})
        self.scim("POST", "/Users", {"userName": "ceiling.post", "roles": entry("User", "SuperAdmin")}, 201, key)
        note("ceiling.post", "POST with two roles")
        user = self.scim("POST", "/Users", {"userName": "ceiling.patch", "roles": entry("User")}, 201, key)
        self.patch(f"/Users/{user['id']}", [{"op": "add", "path": "roles", "value": entry("EnterpriseAdmin")}], key=key)
        note("ceiling.patch", "PATCH that adds a role")
        user = self.scim("POST", "/Users", {"userName": "ceiling.put", "roles": entry("User")}, 201, key)
        self.scim("PUT", f"/Users/{user['id']}", {"userName": "ceiling.put", "roles": entry("User", "Lead")}, 200, key)
        note("ceiling.put", "PUT with a role of the tenant's own that ranks as Admin")
        self.scim("POST", "/Bulk", {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{"method": "POST", "path": "/Users", "bulkId": "c",
                            "data": {"userName": "ceiling.bulk", "roles": entry("User", "VendorAdmin")}}]}, 200, key)
        note("ceiling.bulk", "POST in a bulk")
        user = self.scim("POST", "/Users", {"userName": "ceiling.revived", "externalId": "ceiling-1"}, 201, key)
        self.scim("DELETE", f"/Users/{user['id']}", status=204, key=key)
        self.scim("POST", "/Users", {
            "userName": "ceiling.revived", "externalId": "ceiling-1", "roles": entry("User", "SuperAdmin")}, 201, key)
        note("ceiling.revived", "POST that brings a deleted user back")
        user = self.scim("POST", "/Users", {"userName": "ceiling.promoted", "roles": entry("User", "Admin")}, 201, key)
        removal = [{"op": "remove", "path": 'roles[value eq "User"]'}]
        self.patch(f"/Users/{user['id']}", removal, 403, key)
        self.patch(f"/Users/{user['id']}", removal)
        note("ceiling.promoted", "POST with two roles; the removal of the first by `admin` made the second effective")
        user = self.scim("POST", "/Users", {
            "userName": "ceiling.above", "externalId": "above-1", "roles": entry("SuperAdmin")}, 201)
        self.patch(f"/Users/{user['id']}", [{"op": "replace", "path": "externalId", "value": "changed-1"}], key=key)
        note("ceiling.above", "a SuperAdmin whose external id this connection changed from above-1 to changed-1")
        self.import_over_http("ceiling.csv", "userName,roles\nceiling.import,\"User; SuperAdmin\"\n", "small loader")
        note("ceiling.import", "import over HTTP")

    def import_over_http(self, name, text, connection="loader", query=""):
        kinds = {"csv": "text/csv", "ndjson": "application/x-ndjson", "ldif": "text/ldif"}
        key, kind = self.keys[ACME, connection], kinds[name.rsplit(".", 1)[1]]
        started = self.muster.call("POST", "/v1/imports" + query, key, text, 202, kind)

        def ended():
            state = self.muster.call("GET", f"/v1/imports/{started['id']}", key)
            return state if state["status"] not in ("queued", "running") else None

        state = wait_until(name, ended)
        if state["status"] != "done":
            raise SystemExit(f"{name}: {state}")
        return state

    def over_transfer(self):
        hashes = json.loads("[" + (HERE.parent / "stored_passwords.rs.in").read_text().strip()[2:-3] + "]")
        rows = [{"email": f"hash{n}@example.com", "givenName": "Hash", "familyName": str(n), "passwordHash": text}
                for n, text in enumerate(hashes)]
        done = self.import_over_http("hashes.ndjson", "".join(json.dumps(row) + "\n" for row in rows))
        assert done["report"]["people"]["created"] == len(rows), done
        for n in range(len(rows)):
            self.password(f"hash{n}@example.com", "p\u00e4ssword 1")
        self.import_over_http("people.csv", (
            "E-Mail,First name,Last name,External id,Groups,Password,Shoe size\n"
            "csv1@example.com,Csv,One,csv-1,Staff; Imported,long enough 7,1\n"
            "csv2@example.com,Csv,Two,csv-2,Imported,,2\n"
            "nobody,Csv,Three,csv-3,,,3\n"))
        update = "email,externalId,title\ncsv2@example.com,csv-2,Chief\n"
        self.import_over_http("people.csv", update, query="?update=true")
        self.password("csv1@example.com", "long enough 7")
        ldif = ("version: 1\n\ndn: uid=ldif1,o=x\nobjectClass: inetOrgPerson\nuid: ldif1\ncn: Ldif One\nsn: One\n"
                "mail: ldif1@example.com\n")
        self.import_over_http("people.ldif", ldif)

    # The pages

    def over_pages(self):
        muster = self.muster

        def note(kind, user, link, state, tenant=ACME, seconds=7 * 86400):
            self.facts["links"].append({
                "tenant": tenant, "kind": kind, "user": user, "path": link, "state": state, "seconds": seconds})

        note("invitation", "linked@example.com", muster.mailed("linked@example.com")[0], "unused")
        note("invitation", "ann@example.com", muster.mailed("Ann@example.com")[0], "unused")
        muster.cli("user", "invite", "superseded@example.com", "--tenant", ACME)
        old, new = muster.mailed("superseded@example.com", 2)
        note("invitation", "superseded@example.com", old, "superseded")
        note("invitation", "superseded@example.com", new, "unused")
        for name in ("session", "forgetful"):
            link = muster.mailed(f"{name}@example.com")[0]
            Browser(muster).submit(link, new=GOOD, again=GOOD)
            note("invitation", f"{name}@example.com", link, "used")
            self.password(f"{name}@example.com", GOOD)
        browser = Browser(muster)
        where = browser.submit(f"/t/{ACME}/sign-in", user="session@example.com", password=GOOD)
        assert where == f"/t/{ACME}/account", where
        self.facts["session"] = {
            "path": where, "user": "session@example.com", "cookies": browser.cookies, "seconds": 43200}
        Browser(muster).submit(f"/t/{ACME}/forgot", user="forgetful@example.com")
        note("reset", "forgetful@example.com", muster.mailed("forgetful@example.com", 2)[1], "unused", seconds=3600)
        muster.cli("user", "add", "other@example.org", "--invite", "--tenant", OTHER)
        link = muster.mailed("office@example.org")[0]
        note("invitation", "other@example.org", link, "unused", OTHER, 48 * 3600)

    # The command line

    def over_terminal(self):
        cli, folder = self.muster.cli, self.muster.folder
        cli("user", "add", "terminal@example.com", "--first-name", "Ter", "--last-name", "Minal",
            "--external-id", "T-1", "--role", "Lead", "--tenant", ACME)
        file = folder / "hash"
        file.write_text("$2b$05$OAKYDP4vAEDyRD1432OhQeq2GcBvlGrAxAbFU.t/DLiqj21emQnU.\n")
        cli("user", "add", "bcrypt@example.com", "--password-hash-file", file, "--tenant", ACME)
        self.password("bcrypt@example.com", "p\u00e4ssword 1")
        for name in ("restored", "removed"):
            cli("user", "add", f"{name}@example.com", "--external-id", f"{name}-1", "--tenant", ACME)
            cli("user", "remove", f"{name}@example.com", "--tenant", ACME)
        cli("user", "restore", "restored@example.com", "--tenant", ACME)
        file = folder / "terminal.csv"
        file.write_text("kind,name,email,givenName,department,organisation\n"
                        "group,Made by hand,,,,\nuser,,file@example.com,File,Sales,Acme\n")
        cli("import", file, "--tenant", ACME)
        # The same email and user name as in another tenant.
        cli("user", "add", "ann@example.com", "--first-name", "Anna", "--external-id", "E-1", "--tenant", OTHER)
        key = self.keys[OTHER, "admin"]
        self.scim("POST", "/Users", {"userName": "rfc.user", "password": "password of another"}, 201, key)
        self.password("rfc.user", "password of another", OTHER)

    def owned(self):
        """A connection that belongs to a user."""
        self.connection(ACME, "own", "--dialect", "scim", "--user", "rfc.user")
        self.fact("own")["user"] = self.id_of("rfc.user")

    # Spellings

    def spellings(self):
        key = self.keys[SPELLING, "admin"]
        for what, body in NAMES:
            self.scim("POST", "/Users", body, 201, key)
        for what, first, second, expected in COLLISIONS:
            self.scim("POST", "/Users", first, 201, key)
            self.scim("POST", "/Users", second, expected, key)
            fact = {"tenant": SPELLING, "what": what, "first": first, "second": second}
            self.facts["collisions" if expected == 201 else "rejected"].append(fact)
        for name in ("Bu\u0308ro", "B\u00fcro", "\uff22\u00fcro"):
            self.scim("POST", "/Groups", {"displayName": name}, 201, key)
        for user, password in PASSWORDS:
            self.scim("POST", "/Users", {"userName": user, "password": password}, 201, key)
            self.password(user, password, SPELLING)

    # What is used and expires

    def sign_ins(self):
        """Some sign in; some fail, which is counted."""
        self.sign_in("ccs-form@example.com", "long enough 4")
        self.sign_in("hash0@example.com", "p\u00e4ssword 1")
        for n in range(3):
            self.sign_in("ccs-json@example.com", f"wrong {n}", 401, address="198.51.100.7")
        self.sign_in("nobody@example.com", "wrong", 401)

    def short_lived(self):
        """A token and a cursor, and what everybody looks like."""
        client = self.fact("main")
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": client["id"], "client_secret": client["keys"][0]})
        token = self.muster.call("POST", "/oauth2/token", None, form, kind="application/x-www-form-urlencoded")
        self.facts["token"] = {
            "tenant": ACME, "connection": "main", "access_token": token["access_token"], "seconds": token["expires_in"]}
        asked = "/scim/v2/Users?count=7&attributes=userName&cursor="
        page = self.muster.call("GET", asked, client["keys"][0])
        cursor = page["nextCursor"]
        following = self.muster.call("GET", asked + urllib.parse.quote(cursor), client["keys"][0])
        self.facts["cursor"] = {
            "tenant": ACME, "connection": "main", "request": asked, "cursor": cursor, "seconds": 3600,
            "next": [user["userName"] for user in following["Resources"]]}

    def mails(self):
        """Mails that are delayed, have failed, and wait."""
        post, cli = RejectingMailServer(), self.muster.cli
        self.muster.start("--smtp-url", post.url(), "--mail-from", "people@example.com")
        for name in ("later", "never"):
            cli("user", "invite", f"{name}@example.com", "--tenant", ACME)
        wait_until("attempts", lambda: all(mail["attempts"] and mail["cause"] for mail in self.listed_mails()))
        self.muster.stop()
        post.shutdown()
        cli("user", "invite", "waiting@example.com", "--tenant", ACME)

    def listed_mails(self):
        mails = self.muster.cli("mail", "list", "--tenant", ACME)
        return mails if len(mails) >= 2 else []

    def run(self):
        self.settings()
        self.connections()
        self.muster.start()
        self.over_onfire()
        self.over_ccs()
        self.over_publisher()
        self.over_scim()
        self.over_transfer()
        self.above_ceilings()
        self.over_pages()
        self.over_terminal()
        self.owned()
        self.spellings()
        self.sign_ins()
        self.short_lived()
        tenants = self.muster.cli("tenant", "list")
        everybody = {}
        for tenant in tenants:
            users = self.muster.call("GET", EVERYBODY, self.keys[tenant["number"], "admin"])
            everybody[tenant["number"]] = users["Resources"]
        self.muster.stop()
        self.mails()
        self.facts["users_request"] = EVERYBODY
        self.facts["tenants"] = [
            {**tenant, "users": everybody[tenant["number"]],
             "deleted": self.muster.cli("user", "removed", "--tenant", tenant["number"])} for tenant in tenants]
        states = {c["id"]: c["state"] for c in self.muster.cli("connection", "list")}
        for fact in self.facts["connections"]:
            fact["state"] = states[fact["id"]]
        self.facts["mails"] = self.muster.cli("mail", "list", "--tenant", ACME)
        self.facts["audit"] = self.muster.cli("audit", "verify")["tenants"]
        time.sleep(1)
        # Nothing in the store is later than this.
        self.facts["made"] = int(time.time())
        return self.facts
