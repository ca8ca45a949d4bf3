"""Tests every dialect with the client that openapi-python-client generates from /openapi.json.

Each test creates, reads, changes and fails once. mypy checks this file and the generated client first.
"""

import os
import uuid
from http import HTTPStatus
from io import BytesIO
from typing import Any, TypeVar

from muster_client import AuthenticatedClient, Client
from muster_client.api.ccs import (
    ccs_delete_request_user_id,
    ccs_get_request_user,
    ccs_get_request_user_id,
    ccs_post_request_user,
    ccs_put_request_user_id,
)
from muster_client.api.oauth import oauth_post_oauth2_token
from muster_client.api.onfire import (
    onfire_get_api_v1_suser,
    onfire_get_api_v2_user,
    onfire_get_api_v2_user_search,
    onfire_post_api_v1_suser,
    onfire_post_api_v2_user,
    onfire_put_api_v2_user,
)
from muster_client.api.publisher import (
    publisher_get_api_2_users,
    publisher_get_api_2_users_user,
    publisher_post_api_2_users,
    publisher_put_api_2_users_user,
)
from muster_client.api.scim import (
    scim_delete_scim_v2_users_id,
    scim_get_scim_v2_users,
    scim_get_scim_v2_users_id,
    scim_patch_scim_v2_users_id,
    scim_post_scim_v2_bulk,
    scim_post_scim_v2_users,
    scim_put_scim_v2_users_id,
)
from muster_client.api.sign_in import sign_in_post_v1_sign_in
from muster_client.api.transfer import (
    transfer_get_v1_exports_file,
    transfer_get_v1_imports_id,
    transfer_post_v1_imports,
)
from muster_client.models import (
    CcsErrorOut,
    CcsUserPostIn,
    CcsUserPostResponseOut,
    CcsUserViewOut,
    OauthErrorOut,
    OauthTokenOut,
    OauthTokenRequestIn,
    OauthTokenRequestInGrantType,
    OnfireErrorResponseOut,
    OnfireGetApiV1SuserFormat,
    OnfireKeyValueIn,
    OnfireSUserIn,
    OnfireSUserResponseOut,
    OnfireUserChange,
    OnfireUserIn,
    OnfireUserOut,
    OnfireUserResponseOut,
    OnfireUserSearchResponseOut,
    PublisherErrorBodyOut,
    PublisherNameIn,
    PublisherUserBodyIn,
    PublisherUserBodyOut,
    PublisherUserIn,
    PublisherUserOut,
    PublisherUsersBodyOut,
    PublisherUserSummaryBodyOut,
    ScimBulkOperationIn,
    ScimBulkOperationInMethod,
    ScimBulkRequestIn,
    ScimBulkResponseOut,
    ScimErrorOut,
    ScimPatchOperationIn,
    ScimPatchOpIn,
    ScimUserIn,
    ScimUserListOut,
    ScimUserOut,
    SignInSignedInOut,
    SignInSignInErrorOut,
    SignInSignInIn,
    TransferImportOut,
    TransferPostV1ImportsFormat,
    TransferTransferErrorOut,
)
from muster_client.types import File, Response

BASE = os.environ["MUSTER_URL"]
COMPANY = int(os.environ["MUSTER_COMPANY"])
KEY = os.environ["MUSTER_KEY"]
CLIENT_ID = os.environ["MUSTER_CLIENT_ID"]

T = TypeVar("T")
# An undocumented status raises an exception.
auth = AuthenticatedClient(base_url=BASE, token=KEY, raise_on_unexpected_status=True)
unauthenticated = Client(base_url=BASE, raise_on_unexpected_status=True)


def answered(response: Response[Any], status: HTTPStatus, kind: type[T]) -> T:
    """The parsed response, which must have this status and this documented type."""
    assert response.status_code == status, (response.status_code, response.content)
    assert isinstance(response.parsed, kind), response.parsed
    return response.parsed


def ccs() -> None:
    email = "py-ccs@example.com"
    body = CcsUserPostIn(first_name="Py", email=email, role_id=2)
    created = answered(
        ccs_post_request_user.sync_detailed(client=auth, body=body), HTTPStatus.OK, CcsUserPostResponseOut
    )
    number = str(created.id)
    body.first_name = "Python"
    answered(
        ccs_put_request_user_id.sync_detailed(number, client=auth, body=body),
        HTTPStatus.OK,
        CcsUserPostResponseOut,
    )
    user = answered(
        ccs_get_request_user_id.sync_detailed(number, client=auth), HTTPStatus.OK, CcsUserViewOut
    )
    assert (user.first_name, user.last_name, user.email) == ("Python", None, email), user
    users = ccs_get_request_user.sync(client=auth)
    assert isinstance(users, list) and users[-1].email == email, users
    body.email = "no email"
    answered(
        ccs_post_request_user.sync_detailed(client=auth, body=body), HTTPStatus.BAD_REQUEST, CcsErrorOut
    )
    assert ccs_delete_request_user_id.sync_detailed(number, client=auth).status_code < 300
    missing = ccs_get_request_user_id.sync_detailed(number, client=auth)
    assert missing.status_code == HTTPStatus.NOT_FOUND and missing.content == b"", missing


def publisher() -> None:
    email = "py-publisher@example.com"
    user = PublisherUserIn(email=email, name=PublisherNameIn(firstname="Py"))
    body = PublisherUserBodyIn(user=user)
    answered(
        publisher_post_api_2_users.sync_detailed(client=auth, body=body),
        HTTPStatus.OK,
        PublisherUserSummaryBodyOut,
    )
    user.jobtitle = "Client"
    answered(
        publisher_put_api_2_users_user.sync_detailed(email, client=auth, body=body),
        HTTPStatus.OK,
        PublisherUserSummaryBodyOut,
    )
    read = answered(
        publisher_get_api_2_users_user.sync_detailed(email, client=auth), HTTPStatus.OK, PublisherUserBodyOut
    )
    assert isinstance(read.user, PublisherUserOut) and read.user.jobtitle == "Client", read
    answered(publisher_get_api_2_users.sync_detailed(client=auth), HTTPStatus.OK, PublisherUsersBodyOut)
    user.email = "no email"
    answered(
        publisher_post_api_2_users.sync_detailed(client=auth, body=body),
        HTTPStatus.BAD_REQUEST,
        PublisherErrorBodyOut,
    )
    answered(
        publisher_get_api_2_users_user.sync_detailed("nobody@example.com", client=auth),
        HTTPStatus.NOT_FOUND,
        PublisherErrorBodyOut,
    )


def onfire() -> None:
    email = "py-onfire@example.com"
    body = OnfireUserIn(
        company_id=COMPANY,
        integration_key=KEY,
        first_name="Py",
        last_name="Client",
        email=email,
        metadata=[OnfireKeyValueIn(key="Desk", value="12")],
    )
    answered(onfire_post_api_v2_user.sync_detailed(client=auth, body=body), HTTPStatus.OK, OnfireUserResponseOut)

    def read() -> OnfireUserOut:
        response = onfire_get_api_v2_user.sync_detailed(
            client=auth, company_id=COMPANY, integration_key=KEY, email=email
        )
        user = answered(response, HTTPStatus.OK, OnfireUserResponseOut).user
        assert isinstance(user, OnfireUserOut), user
        return user

    change = OnfireUserChange(company_id=COMPANY, integration_key=KEY, id=read().id, first_name="Python")
    answered(onfire_put_api_v2_user.sync_detailed(client=auth, body=change), HTTPStatus.OK, OnfireUserResponseOut)
    assert (read().first_name, read().last_name) == ("Python", "Client")
    found = onfire_get_api_v2_user_search.sync_detailed(client=auth, company_id=COMPANY, integration_key=KEY)
    answered(found, HTTPStatus.OK, OnfireUserSearchResponseOut)
    answered(
        onfire_post_api_v2_user.sync_detailed(client=auth, body=body),
        HTTPStatus.BAD_REQUEST,
        OnfireErrorResponseOut,
    )

    first = OnfireSUserIn(
        provider_id=COMPANY, integration_key=KEY, first_name="Py", last_name="One", email="py-v1@example.com"
    )
    answered(onfire_post_api_v1_suser.sync_detailed(client=auth, body=first), HTTPStatus.OK, OnfireSUserResponseOut)
    # v1 answers in XML unless JSON is requested.
    response = onfire_get_api_v1_suser.sync_detailed(
        client=auth,
        company_id=COMPANY,
        integration_key=KEY,
        email="py-v1@example.com",
        format_=OnfireGetApiV1SuserFormat.JSON,
    )
    answered(response, HTTPStatus.OK, OnfireSUserResponseOut)


def scim() -> None:
    name = "py-scim@example.com"
    body = ScimUserIn(user_name=name, password="four red fish in a pond")
    created = answered(
        scim_post_scim_v2_users.sync_detailed(client=auth, body=body), HTTPStatus.CREATED, ScimUserOut
    )
    answered(scim_post_scim_v2_users.sync_detailed(client=auth, body=body), HTTPStatus.CONFLICT, ScimErrorOut)
    id = created.id
    body.display_name = "Py"
    answered(scim_put_scim_v2_users_id.sync_detailed(id, client=auth, body=body), HTTPStatus.OK, ScimUserOut)
    operations = [
        ScimPatchOperationIn(op="replace", path="active", value=False),
        ScimPatchOperationIn(op="add", path="emails", value=[{"value": name, "type": "work"}]),
    ]
    patch = ScimPatchOpIn(operations=operations)
    changed = answered(
        scim_patch_scim_v2_users_id.sync_detailed(id, client=auth, body=patch), HTTPStatus.OK, ScimUserOut
    )
    assert (changed.active, changed.display_name) == (False, "Py"), changed
    answered(scim_get_scim_v2_users_id.sync_detailed(id, client=auth), HTTPStatus.OK, ScimUserOut)
    listed = scim_get_scim_v2_users.sync_detailed(client=auth, filter_=f'userName eq "{name}"')
    assert answered(listed, HTTPStatus.OK, ScimUserListOut).total_results == 1
    delete = ScimBulkOperationIn(method=ScimBulkOperationInMethod.DELETE, path="/Users/0")
    bulk = scim_post_scim_v2_bulk.sync_detailed(client=auth, body=ScimBulkRequestIn(operations=[delete]))
    assert answered(bulk, HTTPStatus.OK, ScimBulkResponseOut).operations[0].status == "404"
    wrong = scim_get_scim_v2_users.sync_detailed(client=auth, filter_="userName is")
    answered(wrong, HTTPStatus.BAD_REQUEST, ScimErrorOut)
    sign_in(name)
    deleted = scim_delete_scim_v2_users_id.sync_detailed(id, client=auth)
    assert (deleted.status_code, deleted.content) == (HTTPStatus.NO_CONTENT, b"")
    answered(scim_get_scim_v2_users_id.sync_detailed(id, client=auth), HTTPStatus.NOT_FOUND, ScimErrorOut)


def sign_in(user: str) -> None:
    """Signs in an inactive user, which fails, and an active user."""
    refused = sign_in_post_v1_sign_in.sync_detailed(
        client=auth, body=SignInSignInIn(user=user, password="four red fish in a pond")
    )
    answered(refused, HTTPStatus.UNAUTHORIZED, SignInSignInErrorOut)
    active = ScimUserIn(user_name="py-active@example.com", password="four red fish in a pond")
    answered(scim_post_scim_v2_users.sync_detailed(client=auth, body=active), HTTPStatus.CREATED, ScimUserOut)
    signed_in = sign_in_post_v1_sign_in.sync_detailed(
        client=auth, body=SignInSignInIn(user=active.user_name, password="four red fish in a pond")
    )
    answered(signed_in, HTTPStatus.OK, SignInSignedInOut)


def transfer() -> None:
    file = File(BytesIO(b"email,given name\npy-import@example.com,Py\n"))
    imported = transfer_post_v1_imports.sync_detailed(
        client=auth, body=file, format_=TransferPostV1ImportsFormat.CSV
    )
    opened = answered(imported, HTTPStatus.ACCEPTED, TransferImportOut)
    assert isinstance(opened.id, str)
    answered(transfer_get_v1_imports_id.sync_detailed(opened.id, client=auth), HTTPStatus.OK, TransferImportOut)
    exported = transfer_get_v1_exports_file.sync_detailed("users.csv", client=auth)
    assert "py-onfire@example.com" in answered(exported, HTTPStatus.OK, str)
    missing = transfer_get_v1_imports_id.sync_detailed(str(uuid.uuid4()), client=auth)
    answered(missing, HTTPStatus.NOT_FOUND, TransferTransferErrorOut)


def oauth() -> None:
    body = OauthTokenRequestIn(
        grant_type=OauthTokenRequestInGrantType.CLIENT_CREDENTIALS, client_id=CLIENT_ID, client_secret=KEY
    )
    response = oauth_post_oauth2_token.sync_detailed(client=unauthenticated, body=body)
    token = answered(response, HTTPStatus.OK, OauthTokenOut)
    assert isinstance(token.access_token, str)
    with_token = AuthenticatedClient(base_url=BASE, token=token.access_token, raise_on_unexpected_status=True)
    answered(publisher_get_api_2_users.sync_detailed(client=with_token), HTTPStatus.OK, PublisherUsersBodyOut)
    body.client_secret = "wrong"
    response = oauth_post_oauth2_token.sync_detailed(client=unauthenticated, body=body)
    answered(response, HTTPStatus.UNAUTHORIZED, OauthErrorOut)


dialects = [ccs, publisher, onfire, scim, transfer, oauth]
for dialect in dialects:
    dialect()
    print(f"{dialect.__name__}: passed")
print(f"{len(dialects)} passed, 0 failed")
