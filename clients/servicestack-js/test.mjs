// Tests the onfire dialect with ServiceStack's JSON client for JavaScript.
// Every check runs for v2 `User` and v1 `SUser`, over the paths and over /json/reply/{Dto}.
import assert from 'node:assert/strict';
import { JsonServiceClient } from '@servicestack/client';

const { MUSTER_URL, MUSTER_COMPANY, MUSTER_KEY } = process.env;
if (!MUSTER_URL || !MUSTER_COMPANY || !MUSTER_KEY) {
  console.error('MUSTER_URL, MUSTER_COMPANY and MUSTER_KEY must be set');
  process.exit(2);
}
const company = Number(MUSTER_COMPANY);
const api = MUSTER_URL.replace(/\/+$/, '') + '/api';
const unknownId = 'f'.repeat(32);
// New names in every run, so that the script can be run again on the same store.
const stamp = Date.now().toString(36);

let passed = 0;
async function check(name, run) {
  try {
    await run();
  } catch (error) {
    console.log(`FAIL ${name}`);
    console.error(error);
    console.log(`${passed} passed, 1 failed`);
    process.exit(1);
  }
  passed += 1;
  console.log(`ok   ${name}`);
}

// The client names the /json/reply/ route after the type of the request.
function dto(typeName) {
  return class {
    constructor(fields) { Object.assign(this, fields); }
    getTypeName() { return typeName; }
    createResponse() { return {}; }
  };
}

const versions = [
  {
    path: '/v2/user', type: 'User', list: 'Users', credential: 'CompanyId',
    extra: { Type: 'Premium', TimeZone: 'Central Standard Time', Country: 'BA' },
  },
  { path: '/v1/suser', type: 'SUser', list: 'SUsers', credential: 'ProviderId', extra: {} },
];

let status; // of the last failed response; the client's errors do not contain it
function newClient() {
  const client = new JsonServiceClient(api);
  client.exceptionFilter = (response) => { status = response?.status; };
  return client;
}

function overPaths({ path, type }) {
  const client = newClient();
  const User = dto(type);
  return {
    create: (fields) => client.postToUrl(path, new User(fields)),
    read: (args) => client.get(path, args),
    search: (args) => client.get(`${path}/search`, args),
    update: (fields) => client.putToUrl(path, new User(fields)),
    delete: (args) => client.delete(path, args),
  };
}

function overReply({ type }) {
  const client = newClient();
  client.basePath = null; // otherwise the client leaves out /json/reply
  const User = dto(type);
  const Search = dto(`${type}Search`);
  return {
    create: (fields) => client.post(new User(fields)),
    read: (args) => client.get(new User(args)),
    search: (args) => client.get(new Search(args)),
    update: (fields) => client.put(new User(fields)),
    delete: (args) => client.delete(new User(args)),
  };
}

// Checks the error as the client parsed it.
async function fails(call, code, errorCode, fieldName) {
  status = undefined;
  const error = await call.then(
    () => assert.fail('the call should have failed'),
    (e) => e,
  );
  if (error instanceof Error) throw error;
  const { responseStatus } = error;
  assert.equal(status, code);
  assert.equal(responseStatus.errorCode, errorCode);
  assert.ok(responseStatus.message);
  assert.deepEqual(
    responseStatus.errors.map((e) => [e.errorCode, e.fieldName]),
    fieldName ? [[errorCode, fieldName]] : [],
  );
}

async function runAll(way, version, door) {
  const { type, list, credential } = version;
  const name = (what) => `${way} ${type}: ${what}`;
  const me = { [credential]: company, IntegrationKey: MUSTER_KEY };
  const tag = `${stamp}${way}${type}`.toLowerCase();
  const ann = {
    Email: `ann.${tag}@example.com`, FirstName: 'Ann', LastName: `Lee ${tag}`,
    ExternalId: `E-${tag}`, WebsiteRole: 'ReadOnly', ...version.extra,
  };
  const bob = { Email: `bob.${tag}@example.com`, FirstName: 'Bob', LastName: `Lee ${tag}` };
  // Mails to these addresses would bounce.
  const quiet = type === 'User' ? { DoNotEmail: true } : {};

  const shows = (user, wanted) => {
    for (const [field, value] of Object.entries(wanted)) assert.deepEqual(user[field], value, field);
    assert.ok(!('IntegrationKey' in user) && !('Password' in user), 'the response contains a secret');
  };

  await check(name('create'), async () => {
    const answer = await door.create({ ...me, ...ann, ...quiet, Password: 'pass-word-1' });
    const { Id } = answer[type];
    assert.match(Id, /^[0-9a-f]{32}$/);
    assert.deepEqual(answer, { [type]: { Id, Status: 'Invited' } });
    ann.Id = Id;
    bob.Id = (await door.create({ ...me, ...bob, ...quiet }))[type].Id;
    assert.notEqual(ann.Id, bob.Id);
  });
  await check(name('create, email missing'), () =>
    fails(door.create({ ...me, FirstName: 'No', LastName: 'Mail' }), 400, 'NotEmpty', 'Email'));
  await check(name('create, email taken'), () =>
    fails(door.create({ ...me, Email: bob.Email, FirstName: 'Bob', LastName: 'Two' }), 400,
      'AlreadyExists', 'Email'));

  // This client's GET accepts any type and sends a JSON Content-Type, so v1 must not answer with XML.
  for (const key of ['Id', 'Email', 'ExternalId']) {
    await check(name(`read by ${key}`), async () => {
      const answer = await door.read({ ...me, [key]: ann[key] });
      assert.deepEqual(Object.keys(answer), [type]);
      shows(answer[type], { ...ann, Status: 'Invited' });
    });
  }
  await check(name('read, no identifier'), () => fails(door.read(me), 400, 'NotEmpty', 'Id'));
  await check(name('read, unknown user'), () =>
    fails(door.read({ ...me, Id: unknownId }), 400, 'NotFound', 'Id'));

  await check(name('search by Email'), async () => {
    const answer = await door.search({ ...me, Email: ann.Email });
    assert.deepEqual(Object.keys(answer).sort(), ['TotalRows', list].sort());
    assert.equal(answer.TotalRows, 1);
    assert.equal(answer[list].length, 1);
    shows(answer[list][0], ann);
  });
  await check(name('search by ExternalId'), async () => {
    const answer = await door.search({ ...me, ExternalId: ann.ExternalId });
    assert.deepEqual(answer[list].map((u) => u.Id), [ann.Id]);
  });
  await check(name('search by Name, in pages'), async () => {
    for (const [PageNo, ids] of [[0, [ann.Id]], [1, [bob.Id]], [2, []]]) {
      const answer = await door.search({ ...me, Name: `lee ${tag}`, PageNo, PageSize: 1 });
      assert.deepEqual(answer[list].map((u) => u.Id), ids);
      assert.equal(answer.TotalRows, 2);
    }
  });
  await check(name('search, nothing found'), async () => {
    assert.deepEqual(await door.search({ ...me, Email: `nobody.${tag}@example.com` }),
      { [list]: [], TotalRows: 0 });
  });
  await check(name('search, bad page size'), () =>
    fails(door.search({ ...me, PageSize: 'many' }), 400, 'FormatException', 'PageSize'));

  await check(name('update of one field keeps the others'), async () => {
    const answer = await door.update({ ...me, Id: ann.Id, FirstName: 'Anna' });
    assert.deepEqual(answer, { [type]: { Id: ann.Id, Status: 'Invited' } });
    shows((await door.read({ ...me, Id: ann.Id }))[type], { ...ann, FirstName: 'Anna' });
  });
  await check(name('update of the status'), async () => {
    const answer = await door.update({ ...me, Id: ann.Id, Status: 'Inactive' });
    assert.deepEqual(answer, { [type]: { Id: ann.Id, Status: 'Inactive' } });
  });
  await check(name('update, Id missing'), () =>
    fails(door.update({ ...me, FirstName: 'Anna' }), 400, 'NotEmpty', 'Id'));
  await check(name('update, required field empty'), () =>
    fails(door.update({ ...me, Id: ann.Id, LastName: '' }), 400, 'NotEmpty', 'LastName'));
  await check(name('update, email taken'), () =>
    fails(door.update({ ...me, Id: ann.Id, Email: bob.Email }), 400, 'AlreadyExists', 'Email'));
  await check(name('update, unknown user'), () =>
    fails(door.update({ ...me, Id: unknownId, FirstName: 'Anna' }), 400, 'NotFound', 'Id'));

  // Invalid keys are rate-limited per address, so /json/reply/ gets only one.
  for (const operation of way === 'paths' ? Object.keys(door) : ['read']) {
    await check(name(`${operation}, wrong key`), () => fails(door[operation]({
      [credential]: company, IntegrationKey: '0'.repeat(32), Id: ann.Id,
      Email: `eve.${tag}@example.com`, FirstName: 'Eve', LastName: 'Lee',
    }), 401, 'Unauthorized'));
  }

  await check(name('delete, Id missing'), () => fails(door.delete(me), 400, 'NotEmpty', 'Id'));
  await check(name('delete'), async () => {
    for (const { Id } of [ann, bob]) assert.deepEqual(await door.delete({ ...me, Id }), {});
    await fails(door.read({ ...me, Id: ann.Id }), 400, 'NotFound', 'Id');
  });
  await check(name('delete, user already deleted'), () =>
    fails(door.delete({ ...me, Id: ann.Id }), 400, 'NotFound', 'Id'));
}

for (const version of versions) {
  await runAll('paths', version, overPaths(version));
  await runAll('reply', version, overReply(version));
}

// The numeric id is for vendor accounts; MUSTER_KEY is an ordinary key.
await check('paths User: no UserID for an ordinary key', async () => {
  const door = overPaths(versions[0]);
  const me = { CompanyId: company, IntegrationKey: MUSTER_KEY };
  const { User: { Id } } = await door.create({
    ...me, Email: `num.${stamp}@example.com`, FirstName: 'Num', LastName: 'Ber', DoNotEmail: true,
  });
  const { User } = await door.read({ ...me, Id });
  await door.delete({ ...me, Id });
  assert.equal(User.UserID, undefined);
});

console.log(`${passed} passed, 0 failed`);
