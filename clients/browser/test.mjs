// Tests the user pages and mails in a real browser: users are created over each dialect, invited, signed in,
// deactivated, deleted and restored.
import assert from 'node:assert/strict';
import { onboard } from './onboarding.mjs';
import { dialects } from './dialects.mjs';
import { lifecycle } from './lifecycle.mjs';
import { check, muster, scenario, MailServer, runId, tenant, summarize, url } from './support.mjs';
import { askedLinks, brokenLinks, linksOfTheAbsent, longNames, otherAddresses, strangeForms } from './links.mjs';
import { Browser } from './pages.mjs';

const from = 'Käfer & Söhne';
const post = new MailServer();
await post.open();
const browser = new Browser();
await browser.open();

const page = await browser.person();
if (muster('tenant', 'list').length === 1) {
  await check('with one tenant, the general sign-in page redirects to its sign-in page', async () => {
    await page.goto(`${url}/sign-in`);
    assert.equal(page.url(), `${url}/t/${tenant}/sign-in`);
    await browser.look(page, 'sign-in');
  });
}
muster('tenant', 'set', '--tenant', String(tenant), '--name', from);
const other = muster('tenant', 'add', `Other ${runId}`).number;

// Names that pages and mails must escape.
const users = {
  'onfire v2': { first: 'Zoë', last: "Quintana-O'Hara" },
  'onfire v1': { first: 'Jürgen', last: 'Weiß' },
  ccs: { first: 'Amélie & Co', last: 'Duchamps' },
  publisher: { first: '<i>Pia</i>', last: 'Lindqvist "Pi"' },
  scim: { first: '李', last: 'Zhangwei' },
};
let signedIn;
// The scenarios of different users are independent, so they run concurrently.
await Promise.all(Object.keys(dialects).map((dialect) => {
  const word = dialect.replace(' ', '');
  const person = { ...users[dialect], email: `${word}.${runId}@example.com`, password: 'correct horse 99 battery' };
  const all = { dialect, person, browser, post, from };
  if (dialect === 'scim') signedIn = person;
  return scenario(dialect, async (step) => {
    const { page: own } = await onboard(step, all);
    if (dialect === 'onfire v2') await lifecycle(step, { ...all, page: own });
  });
}));
await Promise.all([
  scenario('links', (step) => brokenLinks(step, { browser, post, from, other })),
  scenario('links', (step) => linksOfTheAbsent(step, { browser, post, from })),
  scenario('links', (step) => askedLinks(step, { browser, post, from })),
  scenario('names', (step) => longNames(step, { browser, post, from })),
  scenario('forms', (step) => strangeForms(step, { browser, person: signedIn })),
]);
await otherAddresses({ browser });
await browser.verdict();
await browser.close();
await post.close();
process.exit(summarize());
