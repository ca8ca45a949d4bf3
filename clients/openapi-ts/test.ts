// Tests every dialect with the client that @hey-api/openapi-ts generates from /openapi.json. Each test creates, reads,
// changes and fails once. tsc checks this file and the generated client first.

import { client } from './client/client.gen.js';
import * as api from './client/index.js';

declare const process: { env: Record<string, string | undefined> };

const { MUSTER_URL: baseUrl = '', MUSTER_KEY: key = '', MUSTER_CLIENT_ID: id = '' } = process.env;
const company = Number(process.env.MUSTER_COMPANY);
client.setConfig({ baseUrl, auth: key });

type ClientResult<Data, Failure> = { data?: Data; error?: Failure; response?: Response };

/** The body of a response that must have this status. */
async function ok<Data>(status: number, asked: Promise<ClientResult<Data, unknown>>): Promise<NonNullable<Data>> {
  const { data, error, response } = await asked;
  if (response?.status !== status || data === undefined || data === null) {
    throw new Error(`${response?.url}: ${response?.status} ${JSON.stringify(data ?? error)}`);
  }
  return data;
}

/** The error of a response that must have this status. */
async function fails<Failure>(status: number, asked: Promise<ClientResult<unknown, Failure>>): Promise<Failure> {
  const { data, error, response } = await asked;
  if (response?.status !== status || error === undefined) {
    throw new Error(`${response?.url}: ${response?.status} ${JSON.stringify(data ?? error)}`);
  }
  return error;
}

function equal<T>(left: T, right: T): void {
  if (left !== right) throw new Error(`${JSON.stringify(left)} is not ${JSON.stringify(right)}`);
}

async function ccs(): Promise<void> {
  const body = { firstName: 'Ts', email: 'ts-ccs@example.com', roleId: 2 };
  const { id } = await ok(200, api.ccsPostRequestUser({ body }));
  const path = { id: String(id) };
  await ok(200, api.ccsPutRequestUserId({ path, body: { ...body, firstName: 'TypeScript' } }));
  const user = await ok(200, api.ccsGetRequestUserId({ path }));
  equal(user.firstName, 'TypeScript');
  equal(user.lastName, null);
  const users = await ok(200, api.ccsGetRequestUser());
  equal(users.at(-1)?.email, body.email);
  // Some errors have no body, so the generated error type is unknown.
  const error = await fails(400, api.ccsPostRequestUser({ body: { ...body, email: 'no email' } }));
  equal((error as api.CcsErrorOut).message, 'The request is invalid.');
  await fails(404, api.ccsGetRequestUserId({ path: { id: '999999' } }));
}

async function publisher(): Promise<void> {
  const email = 'ts-publisher@example.com';
  const user = { email, name: { firstname: 'Ts' } };
  await ok(200, api.publisherPostApi2Users({ body: { user } }));
  const path = { user: email };
  await ok(200, api.publisherPutApi2UsersUser({ path, body: { user: { ...user, jobtitle: 'Client' } } }));
  const read = await ok(200, api.publisherGetApi2UsersUser({ path }));
  equal(read.user?.jobtitle, 'Client');
  await ok(200, api.publisherGetApi2Users());
  await fails(400, api.publisherPostApi2Users({ body: { user: { ...user, email: 'no email' } } }));
  const missing = await fails(404, api.publisherGetApi2UsersUser({ path: { user: 'nobody@example.com' } }));
  equal(missing.error?.ref, 108);
}

async function onfire(): Promise<void> {
  const query = { CompanyId: company };
  const body = { FirstName: 'Ts', LastName: 'Client', Email: 'ts-onfire@example.com' };
  await ok(200, api.onfirePostApiV2User({ query, body: { ...body, Metadata: [{ Key: 'Desk', Value: '12' }] } }));
  const read = () => ok(200, api.onfireGetApiV2User({ query: { ...query, Email: body.Email } }));
  const { User: user } = await read();
  await ok(200, api.onfirePutApiV2User({ query, body: { Id: user?.Id, FirstName: 'TypeScript' } }));
  const { User: changed } = await read();
  equal(changed?.FirstName, 'TypeScript');
  equal(changed?.LastName, 'Client');
  await ok(200, api.onfireGetApiV2UserSearch({ query }));
  const { ResponseStatus: failure } = await fails(400, api.onfirePostApiV2User({ query, body }));
  equal(failure?.ErrorCode, 'AlreadyExists');

  // v1 with the key in the body. It answers in XML unless JSON is requested.
  const first = { ...body, Email: 'ts-v1@example.com', ProviderId: company, IntegrationKey: key };
  await ok(200, api.onfirePostApiV1Suser({ query: { format: 'json' }, body: first, security: [] }));
  await ok(200, api.onfireGetApiV1Suser({ query: { ...query, format: 'json', Email: first.Email } }));
}

async function scim(): Promise<void> {
  const userName = 'ts-scim@example.com';
  const { id } = await ok(201, api.scimPostScimV2Users({ body: { userName } }));
  const path = { id };
  const conflict = await fails(409, api.scimPostScimV2Users({ body: { userName } }));
  equal(conflict.scimType, 'uniqueness');
  await ok(200, api.scimPutScimV2UsersId({ path, body: { userName, displayName: 'Ts' } }));
  const Operations = [
    { op: 'replace', path: 'active', value: false },
    { op: 'add', path: 'emails', value: [{ value: userName, type: 'work' }] },
  ];
  const changed = await ok(200, api.scimPatchScimV2UsersId({ path, body: { Operations } }));
  equal(changed.active, false);
  await ok(200, api.scimGetScimV2UsersId({ path }));
  const found = await ok(200, api.scimGetScimV2Users({ query: { filter: `userName eq "${userName}"` } }));
  equal(found.totalResults, 1);
  await fails(400, api.scimGetScimV2Users({ query: { filter: 'userName is' } }));
  const { response } = await api.scimDeleteScimV2UsersId({ path });
  equal(response?.status, 204);
  await fails(404, api.scimGetScimV2UsersId({ path }));
}

async function signIn(): Promise<void> {
  const credentials = { user: 'ts-active@example.com', password: 'four red fish in a pond' };
  await ok(201, api.scimPostScimV2Users({ body: { userName: credentials.user, password: credentials.password } }));
  await ok(200, api.signInPostV1SignIn({ body: credentials }));
  await fails(401, api.signInPostV1SignIn({ body: { ...credentials, password: 'wrong' } }));
}

async function transfer(): Promise<void> {
  const body = new Blob(['email,given name\nts-import@example.com,Ts\n']);
  const opened = await ok(202, api.transferPostV1Imports({ query: { format: 'csv' }, body }));
  await ok(200, api.transferGetV1ImportsId({ path: { id: String(opened.id) } }));
  const file = await ok(200, api.transferGetV1ExportsFile({ path: { file: 'users.csv' } }));
  equal(String(file).includes('ts-active@example.com'), true);
  await fails(404, api.transferGetV1ImportsId({ path: { id: '00000000-0000-0000-0000-000000000000' } }));
}

async function oauth(): Promise<void> {
  const body = { grant_type: 'client_credentials', client_id: id, client_secret: key } as const;
  const token = await ok(200, api.oauthPostOauth2Token({ body }));
  await ok(200, api.publisherGetApi2Users({ auth: token.access_token }));
  await fails(401, api.oauthPostOauth2Token({ body: { ...body, client_secret: 'wrong' } }));
}

const dialects = [ccs, publisher, onfire, scim, signIn, transfer, oauth];
for (const dialect of dialects) {
  await dialect();
  console.log(`${dialect.name}: passed`);
}
console.log(`${dialects.length} passed, 0 failed`);
