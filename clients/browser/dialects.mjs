// One user over five user APIs: create, read, deactivate, activate, delete.
import assert from 'node:assert/strict';
import { key, muster, signInKey, tenant, url } from './support.mjs';

const extension = 'urn:muster:params:scim:schemas:extension:2.0:User';

/** Sends a request; returns its status and body. */
async function call(method, path, { body, bearer = key, headers = {} } = {}) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      Accept: 'application/json',
      ...(bearer && { Authorization: `Bearer ${bearer}` }),
      ...(body && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : undefined, text };
}

async function good(...request) {
  const answer = await call(...request);
  assert.ok(answer.status >= 200 && answer.status < 300, `${request[0]} ${request[1]}: ${answer.status} ${answer.text}`);
  return answer.body;
}

/** Sends the invitation for dialects that do not send it on creation. */
const invite = (person) => muster('user', 'invite', '--tenant', String(tenant), person.email);

function onfire(path, type, company) {
  const me = { [company]: tenant, IntegrationKey: key };
  const query = (fields) => `?${new URLSearchParams({ format: 'json', ...me, ...fields })}`;
  return {
    create: ({ email, first, last }) => good('POST', `${path}?format=json`, {
      bearer: null, body: { ...me, Email: email, FirstName: first, LastName: last },
    }),
    // The dialect sends the invitation on creation.
    invite: () => {},
    async read({ email, ids }) {
      const { status, body } = await call('GET', path + query(ids ? { Id: ids.onfire } : { Email: email }), { bearer: null });
      const user = body?.[type];
      if (status === 400 && body.ResponseStatus.ErrorCode === 'NotFound') return { is: 'gone' };
      assert.equal(status, 200);
      return { is: user.Status, id: user.Id, email: user.Email, first: user.FirstName, last: user.LastName };
    },
    put: (person, fields) => good('PUT', `${path}?format=json`, {
      bearer: null, body: { ...me, Id: person.ids.onfire, ...fields },
    }),
    off(person) { return this.put(person, { Status: 'Inactive' }); },
    on(person) { return this.put(person, { Status: 'Active' }); },
    remove: (person) => good('DELETE', path + query({ Id: person.ids.onfire }), { bearer: null }),
    words: { invited: 'Invited', active: 'Active', off: 'Inactive' },
  };
}

const ccs = {
  create: ({ email, first, last }) => good('POST', '/request/user', { body: { firstName: first, lastName: last, email, roleId: 2 } }),
  invite,
  async read({ email, ids }) {
    const user = ids ? await call('GET', `/request/user/${ids.ccs}`)
      : { status: 200, body: (await good('GET', '/request/user')).find((one) => one.email === email) };
    if (user.status === 404) return { is: 'gone' };
    assert.equal(user.status, 200);
    // The dialect has no status: an existing user is 'there'.
    return { is: 'there', id: user.body.id, email: user.body.email, first: user.body.firstName, last: user.body.lastName };
  },
  async force(person) {
    const before = await good('GET', `/request/user/${person.ids.ccs}`);
    await good('PUT', `/request/user/${person.ids.ccs}`, { body: { ...before, roleId: before.roleId ?? 2, forcePasswordChange: true } });
  },
  isForced: async (person) => (await good('GET', `/request/user/${person.ids.ccs}`)).forcePasswordChange,
  remove: (person) => good('DELETE', `/request/user/${person.ids.ccs}`),
  words: { invited: 'there', active: 'there', off: 'there' },
};

const publisher = {
  create: ({ email, first, last }) => good('POST', '/api/2/users', {
    body: { user: { name: { firstname: first, lastname: last }, email, status: 'pending' } },
  }),
  invite: ({ email }) => good('POST', '/api/2/users/invite', { body: { emailAddress: [email] } }),
  async read({ email, ids }) {
    const { status, body } = await call('GET', `/api/2/users/${ids?.publisher ?? email}`);
    if (status === 404 && body.error.ref === 108) return { is: 'gone' };
    assert.equal(status, 200);
    const { user } = body;
    return { is: user.status, id: user.id, email: user.email, first: user.name.firstname, last: user.name.lastname };
  },
  off: (person) => good('POST', `/api/2/users/${person.ids.publisher}/disable`),
  on: (person) => good('POST', `/api/2/users/${person.ids.publisher}/activate`),
  words: { invited: 'pending', active: 'active', off: 'disable' },
};

const scim = {
  create: ({ email, first, last }) => good('POST', '/scim/v2/Users', {
    body: {
      schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
      userName: email,
      name: { givenName: first, familyName: last },
      emails: [{ value: email, type: 'work', primary: true }],
    },
  }),
  invite,
  async read({ email, ids }) {
    const wanted = `attributes=userName,active,name,emails,${extension}:status`;
    const { status, body } = ids ? await call('GET', `/scim/v2/Users/${ids.scim}?${wanted}`)
      : await call('GET', `/scim/v2/Users?${wanted}&filter=${encodeURIComponent(`userName eq "${email}"`)}`);
    if (status === 404) return { is: 'gone' };
    assert.equal(status, 200);
    const user = ids ? body : body.Resources[0];
    const is = `${user.active} ${user[extension].status}`;
    return { is, id: user.id, email: user.emails[0].value, first: user.name.givenName, last: user.name.familyName };
  },
  patch: (person, value) => good('PATCH', `/scim/v2/Users/${person.ids.scim}`, {
    body: { schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations: [{ op: 'replace', ...value }] },
  }),
  off(person) { return this.patch(person, { path: 'active', value: false }); },
  on(person) { return this.patch(person, { path: 'active', value: true }); },
  remove: (person) => good('DELETE', `/scim/v2/Users/${person.ids.scim}`),
  words: { invited: 'true invited', active: 'true active', off: 'false inactive' },
};

export const dialects = {
  'onfire v2': onfire('/api/v2/user', 'User', 'CompanyId'),
  'onfire v1': onfire('/api/v1/suser', 'SUser', 'ProviderId'),
  ccs,
  publisher,
  scim,
};

/** Records the user's id in each dialect. */
export async function recordIds(person) {
  const [onfireId, ccsId, publisherId, scimId] = await Promise.all(
    ['onfire v2', 'ccs', 'publisher', 'scim'].map(async (name) => (await dialects[name].read(person)).id),
  );
  person.ids = { onfire: onfireId, ccs: ccsId, publisher: publisherId, scim: scimId };
}

/** Asserts that every dialect shows the user with this status, name and id. */
export async function assertEverywhere(person, what) {
  for (const [name, door] of Object.entries(dialects)) {
    const seen = await door.read(person);
    const { email, first, last } = person;
    const id = person.ids[name.split(' ')[0]];
    const wanted = what === 'gone' ? { is: 'gone' } : { is: door.words[what], id, email, first, last };
    assert.deepEqual(seen, wanted, name);
  }
}

/** Signs in through the sign-in API, as an application does. */
export async function signInApi(user, password) {
  const { status, body } = await call('POST', '/v1/sign-in', { bearer: signInKey, body: { user, password } });
  if (status === 200) return body;
  assert.equal(status, 401);
  assert.equal(body.error, 'sign_in_refused');
  return null;
}
