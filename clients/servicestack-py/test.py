"""Tests the onfire dialect with ServiceStack's JSON client for Python.

Every check runs for v2 `User` and v1 `SUser`, over the paths and over /json/reply/{Dto}.
"""

import os
import re
import sys
import time
import traceback
from dataclasses import dataclass
from types import SimpleNamespace
from typing import List, Optional

from servicestack import IReturn, JsonServiceClient, WebServiceException

try:
    BASE = os.environ["MUSTER_URL"].rstrip("/") + "/api"
    COMPANY = int(os.environ["MUSTER_COMPANY"])
    KEY = os.environ["MUSTER_KEY"]
except (KeyError, ValueError):
    sys.exit("MUSTER_URL, MUSTER_COMPANY (an integer) and MUSTER_KEY must be set")

UNKNOWN_ID = "f" * 32
# New names in every run, so that the script can be run again on the same store.
STAMP = f"py{time.time_ns() // 1_000_000}"


# The client sets a field only if its name equals the wire name, so these are in PascalCase.
@dataclass
class UserFields:
    Id: Optional[str] = None
    UserID: Optional[int] = None
    CompanyId: Optional[int] = None
    ProviderId: Optional[int] = None
    IntegrationKey: Optional[str] = None
    Email: Optional[str] = None
    FirstName: Optional[str] = None
    LastName: Optional[str] = None
    Password: Optional[str] = None
    ExternalId: Optional[str] = None
    Status: Optional[str] = None
    WebsiteRole: Optional[str] = None
    Type: Optional[str] = None
    TimeZone: Optional[str] = None
    Country: Optional[str] = None
    DoNotEmail: Optional[bool] = None


@dataclass
class SearchFields:
    CompanyId: Optional[int] = None
    ProviderId: Optional[int] = None
    IntegrationKey: Optional[str] = None
    Name: Optional[str] = None
    Email: Optional[str] = None
    ExternalId: Optional[str] = None
    PageNo: Optional[int] = None
    PageSize: Optional[str] = None  # text, so that an invalid one can be sent


@dataclass
class UserResponse:
    User: Optional[UserFields] = None


@dataclass
class SUserResponse:
    SUser: Optional[UserFields] = None


@dataclass
class UserSearchResponse:
    Users: Optional[List[UserFields]] = None
    TotalRows: Optional[int] = None


@dataclass
class SUserSearchResponse:
    SUsers: Optional[List[UserFields]] = None
    TotalRows: Optional[int] = None


# The client names the /json/reply/ route after the class of the request.
@dataclass
class User(UserFields, IReturn[UserResponse]):
    pass


@dataclass
class SUser(UserFields, IReturn[SUserResponse]):
    pass


@dataclass
class UserSearch(SearchFields, IReturn[UserSearchResponse]):
    pass


@dataclass
class SUserSearch(SearchFields, IReturn[SUserSearchResponse]):
    pass


V2 = SimpleNamespace(
    path="/v2/user", user=User, answer=UserResponse,
    search=UserSearch, found=UserSearchResponse, credential="CompanyId",
    extra={"Type": "Premium", "TimeZone": "Central Standard Time", "Country": "BA"},
    quiet={"DoNotEmail": True},  # mails to these addresses would bounce
)
V1 = SimpleNamespace(
    path="/v1/suser", user=SUser, answer=SUserResponse,
    search=SUserSearch, found=SUserSearchResponse, credential="ProviderId", extra={}, quiet={},
)

last_body = None  # of the last successful response


def new_client():
    def keep(response):
        global last_body
        last_body = response.text

    client = JsonServiceClient(BASE)
    client.response_filter = keep
    return client


def over_paths(v):
    client = new_client()
    return {
        "create": lambda **f: client.post_url(v.path, v.user(**f), v.answer),
        "read": lambda **f: client.get_url(v.path, v.answer, f),
        "search": lambda **f: client.get_url(v.path + "/search", v.found, f),
        "update": lambda **f: client.put_url(v.path, v.user(**f), v.answer),
        "delete": lambda **f: client.delete_url(v.path, v.answer, f),
    }


def over_reply(v):
    client = new_client()
    client.set_base_path("")  # otherwise the client leaves out /json/reply
    return {
        "create": lambda **f: client.post(v.user(**f)),
        "read": lambda **f: client.get(v.user(**f)),
        "search": lambda **f: client.get(v.search(**f)),
        "update": lambda **f: client.put(v.user(**f)),
        "delete": lambda **f: client.delete(v.user(**f)),
    }


passed = 0


def check(name, run):
    global passed
    try:
        run()
    except Exception:
        print(f"FAIL {name}")
        traceback.print_exc()
        print(f"{passed} passed, 1 failed")
        sys.exit(1)
    passed += 1
    print(f"ok   {name}")


def same(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


def fails(call, status, error_code, field_name=None):
    try:
        call()
    except WebServiceException as error:
        # The client does not parse PascalCase errors, so check the response itself.
        same(error.status_code, status)
        body = error.inner_exception.response.json()
        same(list(body), ["ResponseStatus"])
        body = body["ResponseStatus"]
        same(body["ErrorCode"], error_code)
        assert body["Message"]
        same([(e["ErrorCode"], e["FieldName"]) for e in body["Errors"]],
             [(error_code, field_name)] if field_name else [])
    else:
        raise AssertionError("the call should have failed")


def shows(user, wanted):
    same({field: getattr(user, field) for field in wanted}, wanted)
    assert "IntegrationKey" not in last_body and "Password" not in last_body, "the response contains a secret"


def run_all(way, v, door):
    create, read, search, update, delete = door.values()
    kind = v.user.__name__
    me = {v.credential: COMPANY, "IntegrationKey": KEY}
    tag = f"{STAMP}{way}{kind}".lower()
    ann = {"Email": f"ann.{tag}@example.com", "FirstName": "Ann", "LastName": f"Lee {tag}",
           "ExternalId": f"E-{tag}", "WebsiteRole": "ReadOnly", **v.extra}
    bob = {"Email": f"bob.{tag}@example.com", "FirstName": "Bob", "LastName": f"Lee {tag}"}

    def one(answer):
        return getattr(answer, kind)

    def rows(answer):
        return getattr(answer, kind + "s")

    def test(what, run):
        check(f"{way} {kind}: {what}", run)

    def test_fails(what, call, *wanted):
        test(what, lambda: fails(call, *wanted))

    def create_two():
        made = one(create(**me, **ann, **v.quiet, Password="pass-word-1"))
        assert re.fullmatch("[0-9a-f]{32}", made.Id), made.Id
        same(made, UserFields(Id=made.Id, Status="Invited"))
        ann["Id"] = made.Id
        bob["Id"] = one(create(**me, **bob, **v.quiet)).Id
        assert ann["Id"] != bob["Id"]

    test("create", create_two)
    test_fails("create, email missing",
               lambda: create(**me, FirstName="No", LastName="Mail"), 400, "NotEmpty", "Email")
    test_fails("create, email taken",
               lambda: create(**me, Email=bob["Email"], FirstName="Bob", LastName="Two"),
               400, "AlreadyExists", "Email")

    for key in ("Id", "Email", "ExternalId"):
        test(f"read by {key}",
             lambda: shows(one(read(**me, **{key: ann[key]})), {**ann, "Status": "Invited"}))
    test_fails("read, no identifier", lambda: read(**me), 400, "NotEmpty", "Id")
    test_fails("read, unknown user", lambda: read(**me, Id=UNKNOWN_ID), 400, "NotFound", "Id")

    def search_by_email():
        answer = search(**me, Email=ann["Email"])
        same((len(rows(answer)), answer.TotalRows), (1, 1))
        shows(rows(answer)[0], ann)

    def search_in_pages():
        for page, ids in enumerate([[ann["Id"]], [bob["Id"]], []]):
            answer = search(**me, Name=f"lee {tag}", PageNo=page, PageSize="1")
            same([u.Id for u in rows(answer)], ids)
            same(answer.TotalRows, 2)

    def search_nothing():
        answer = search(**me, Email=f"nobody.{tag}@example.com")
        same((rows(answer), answer.TotalRows), ([], 0))

    test("search by Email", search_by_email)
    test("search by ExternalId",
         lambda: same([u.Id for u in rows(search(**me, ExternalId=ann["ExternalId"]))], [ann["Id"]]))
    test("search by Name, in pages", search_in_pages)
    test("search, nothing found", search_nothing)
    test_fails("search, bad page size",
               lambda: search(**me, PageSize="many"), 400, "FormatException", "PageSize")

    def update_one_field():
        same(one(update(**me, Id=ann["Id"], FirstName="Anna")),
             UserFields(Id=ann["Id"], Status="Invited"))
        shows(one(read(**me, Id=ann["Id"])), {**ann, "FirstName": "Anna"})

    test("update of one field keeps the others", update_one_field)
    test("update of the status",
         lambda: same(one(update(**me, Id=ann["Id"], Status="Inactive")),
                      UserFields(Id=ann["Id"], Status="Inactive")))
    test_fails("update, Id missing", lambda: update(**me, FirstName="Anna"), 400, "NotEmpty", "Id")
    test_fails("update, required field empty",
               lambda: update(**me, Id=ann["Id"], LastName=""), 400, "NotEmpty", "LastName")
    test_fails("update, email taken",
               lambda: update(**me, Id=ann["Id"], Email=bob["Email"]), 400, "AlreadyExists", "Email")
    test_fails("update, unknown user",
               lambda: update(**me, Id=UNKNOWN_ID, FirstName="Anna"), 400, "NotFound", "Id")

    # Invalid keys are rate-limited per address, so /json/reply/ gets only one.
    for operation in door if way == "paths" else ["read"]:
        fields = {v.credential: COMPANY, "IntegrationKey": "0" * 32}
        if operation != "search":
            fields.update(Id=ann["Id"], Email=f"eve.{tag}@example.com", FirstName="Eve", LastName="Lee")
        test_fails(f"{operation}, wrong key", lambda: door[operation](**fields), 401, "Unauthorized")

    def delete_both():
        for user in (ann, bob):
            delete(**me, Id=user["Id"])
            same(last_body, "{}")
        fails(lambda: read(**me, Id=ann["Id"]), 400, "NotFound", "Id")

    test_fails("delete, Id missing", lambda: delete(**me), 400, "NotEmpty", "Id")
    test("delete", delete_both)
    test_fails("delete, user already deleted",
               lambda: delete(**me, Id=ann["Id"]), 400, "NotFound", "Id")


for version in (V2, V1):
    run_all("paths", version, over_paths(version))
    run_all("reply", version, over_reply(version))


# The numeric id is for vendor accounts; MUSTER_KEY is an ordinary key.
def no_user_id():
    door = over_paths(V2)
    me = {"CompanyId": COMPANY, "IntegrationKey": KEY}
    made = door["create"](**me, Email=f"num.{STAMP}@example.com", FirstName="Num", LastName="Ber",
                          DoNotEmail=True).User
    user = door["read"](**me, Id=made.Id).User
    door["delete"](**me, Id=made.Id)
    same(user.UserID, None)


check("paths User: no UserID for an ordinary key", no_user_id)

print(f"{passed} passed, 0 failed")
