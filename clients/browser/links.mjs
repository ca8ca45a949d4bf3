// Modified links and forms: each leads to a helpful page and changes nothing.
import assert from 'node:assert/strict';
import { assertChoosePage, inviteUser } from './onboarding.mjs';
import { dialects, assertEverywhere, recordIds, signInApi } from './dialects.mjs';
import { check, checkMail, muster, sleep, runId, tenant, url } from './support.mjs';
import { pageUrl, go, press, said, send } from './pages.mjs';

/** Asserts that the page has a heading, a sentence and a working link. */
async function helps(page) {
  const { heading, all } = await said(page);
  assert.match(heading, /\w+ \w+/);
  assert.match(all.slice(heading.length), /\w+ \w+.*[.]/);
  const links = await page.locator('main a[href]').evaluateAll((all) => all.map((link) => link.href));
  assert.ok(links.length > 0, `"${heading}" has no link`);
  for (const link of links) {
    const answer = await page.request.get(link);
    assert.equal(answer.status(), 200, link);
  }
}

/** Checks a message page once; many links lead to the same message. */
async function lookAtMessage(browser, page) {
  const words = ((await said(page)).heading || 'no page of ours').toLowerCase().match(/\w+/g);
  await browser.look(page, `message-${words.join('-')}`);
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Replaces one letter of a text with the letter `by` positions further. */
function changed(text, place, by = 1) {
  const index = place < 0 ? text.length + place : place;
  const letter = letters[(letters.indexOf(text[index]) + by) % letters.length];
  return text.slice(0, index) + letter + text.slice(index + 1);
}

export async function brokenLinks(step, { browser, post, from, other }) {
  const person = { email: `lina.${runId}@example.com`, first: 'Lina', last: 'Ostrander', password: 'velvet anchor 64 pine' };
  const { link } = await inviteUser({ dialect: 'onfire v2', person, post, from });
  const page = await browser.person();
  const broken = [
    ['with a changed letter', changed(link, -30), [404]],
    ['with a changed last letter', changed(link, -1), [404]],
    ['with a changed first letter', changed(link, link.lastIndexOf('/') + 1), [404]],
    ['of another tenant', link.replace(`/t/${tenant}/`, `/t/${other}/`), [404]],
    ['that is cut off', link.slice(0, -20), [404]],
    ['without its last letter', link.slice(0, -1), [404]],
    ['with an extra letter', `${link}A`, [404]],
    ['cut off before its secret', link.slice(0, link.lastIndexOf('/') + 1), [404]],
    ['cut off before its last slash', link.slice(0, link.lastIndexOf('/')), [404]],
    ['of an invitation used as a reset', link.replace('/invitation/', '/reset/'), [404]],
    ['of an unknown tenant', link.replace(`/t/${tenant}/`, '/t/999999/'), [404]],
    ['of an invalid tenant number', link.replace(`/t/${tenant}/`, '/t/x/'), [404]],
  ];
  for (const [what, address, statuses] of broken) {
    await check(`a link ${what} leads to a helpful page`, async () => {
      const status = await go(page, address);
      await lookAtMessage(browser, page);
      assert.ok(statuses.includes(status), String(status));
      assert.equal(await page.locator('[name=new]').count(), 0);
      await helps(page);
    });
  }
  await check('no other last letter works, even if a lenient Base64 decoder ignores its unused bits', async () => {
    for (let by = 1; by < 16; by += 1) assert.equal(await go(page, changed(link, -1, by)), 404);
  });
  await step('the modified links have changed nothing', async () => {
    await assertEverywhere(person, 'invited');
    assert.equal(await go(page, link), 200);
    await assertChoosePage(page, person);
  });
  await newerLink(step, { person, browser, post, from, link });
}

async function newerLink(step, { person, browser, post, from, link }) {
  const [first, second] = [await browser.person(), await browser.person()];
  const last = await step('a new invitation invalidates the first', async () => {
    // The page of the first link is still open when the second mail arrives.
    assert.equal(await go(first, link), 200);
    muster('user', 'invite', '--tenant', String(tenant), person.email);
    const newer = checkMail(await post.next(person.email), 'invitation', { email: person.email, from });
    assert.equal(await send(first, { new: person.password, again: person.password }), 410);
    await lookAtMessage(browser, first);
    await helps(first);
    await assertEverywhere(person, 'invited');
    assert.equal(await go(second, newer), 200);
    return newer;
  });
  await step('a used link does not work again, not even in a page opened before', async () => {
    const [one, another] = [await browser.person(), await browser.person()];
    assert.equal(await go(one, last), 200);
    assert.equal(await go(another, last), 200);
    assert.equal(await send(one, { new: person.password, again: person.password }), 200);
    const stolen = 'a thief was here 1234';
    assert.equal(await send(another, { new: stolen, again: stolen }), 410);
    await helps(another);
    assert.equal(await go(another, last), 410);
    await lookAtMessage(browser, another);
    await helps(another);
    assert.equal(await signInApi(person.email, stolen), null);
    assert.ok(await signInApi(person.email, person.password));
  });
  await step('all other links of the user are invalid, too', async () => {
    for (const mail of post.to(person.email)) {
      assert.equal(await go(second, mail.text.match(/https?:\/\/\S+/)[0]), 410);
    }
  });
}

/** Users without an invitation request a link themselves. */
export async function askedLinks(step, { browser, post, from }) {
  const page = await browser.person();
  const person = { email: `nora.${runId}@example.com`, first: 'Nora', last: 'Petrov', password: 'amber kettle 28 north' };
  await step('a user without an invitation requests a link and gets one', async () => {
    await dialects.ccs.create(person);
    await recordIds(person);
    await go(page, pageUrl('/forgot'));
    for (let times = 0; times < 3; times += 1) {
      assert.equal(await send(page, { user: person.email }), 200);
      await press(page, 'link', 'Back to sign in');
      await press(page, 'link', 'Forgot your password?');
    }
    const link = checkMail(await post.next(person.email), 'invitation', { email: person.email, from });
    assert.equal(await go(page, link), 200);
    await assertChoosePage(page, person);
    assert.equal(await send(page, { new: person.password, again: person.password }), 200);
    await assertEverywhere(person, 'active');
  });
  await step('three requests in a row send only one mail', async () => {
    await sleep(1500);
    assert.equal(post.to(person.email).length, 1);
  });
}

/** A password must not contain any part of a multi-part name. */
export async function longNames(step, { browser, post, from }) {
  for (const [first, last, own] of [['Maria Luisa', 'Quintana-Ortega', 'quintana'], ['Maria Luisa', 'de la Fuente', 'fuente']]) {
    await step(`the password of ${first} ${last} cannot be ${own} and a number`, async () => {
      const person = { email: `ml.${own}.${runId}@example.com`, first, last };
      const page = await browser.person();
      await go(page, (await inviteUser({ dialect: 'onfire v2', person, post, from })).link);
      assert.equal(await send(page, { new: `${own}123456789`, again: `${own}123456789` }), 422);
    });
  }
}

/** Users who are deactivated or deleted before they use their link. */
export async function linksOfTheAbsent(step, { browser, post, from }) {
  for (const [what, act] of [['deactivated', (person) => dialects.scim.off(person)], ['deleted', (person) => dialects.ccs.remove(person)]]) {
    await step(`the link of a ${what} user leads to a helpful page`, async () => {
      const word = what.replace(' ', '-');
      const person = { email: `${word}.${runId}@example.com`, first: 'Otis', last: 'Brandt', password: 'tulip engine 45 moss' };
      const { link } = await inviteUser({ dialect: 'onfire v2', person, post, from });
      const page = await browser.person();
      assert.equal(await go(page, link), 200);
      await act(person);
      const status = await send(page, { new: person.password, again: person.password });
      assert.ok([404, 410].includes(status), String(status));
      await lookAtMessage(browser, page);
      await helps(page);
      assert.equal(await signInApi(person.email, person.password), null);
    });
  }
}

export async function strangeForms(step, { browser, person }) {
  const page = await browser.person();
  const good = { user: person.email, password: person.password };
  await step('a form without its cookie gets 403 and creates no session', async () => {
    await go(page, pageUrl('/sign-in'));
    await page.context().clearCookies();
    assert.equal(await send(page, good), 403);
    await lookAtMessage(browser, page);
    await helps(page);
    assert.ok(!(await page.context().cookies()).some((cookie) => cookie.name === 'muster-session'));
  });
  await step('a form with another token gets 403', async () => {
    await go(page, pageUrl('/sign-in'));
    await page.locator('[name=token]').evaluate((field) => { field.value = `A${field.value.slice(1)}x`; });
    assert.equal(await send(page, good), 403);
    await lookAtMessage(browser, page);
    await helps(page);
    assert.ok(!(await page.context().cookies()).some((cookie) => cookie.name === 'muster-session'));
  });
  await step('a form without a token, or with that of another browser, gets 403', async () => {
    await go(page, pageUrl('/sign-in'));
    await page.locator('[name=token]').evaluate((field) => field.remove());
    assert.equal(await send(page, good), 403);
    const other = await browser.person();
    await go(other, pageUrl('/sign-in'));
    const token = await other.locator('[name=token]').inputValue();
    await go(page, pageUrl('/sign-in'));
    await page.locator('[name=token]').evaluate((field, value) => { field.value = value; }, token);
    assert.equal(await send(page, good), 403);
  });
  await step('after that, sign-in with a new form works', async () => {
    await go(page, pageUrl('/sign-in'));
    assert.equal(await send(page, good), 200);
  });
  await step('signing out requires a form, not a link', async () => {
    for (const rest of ['/sign-out', '/sign-out-everywhere']) {
      const status = await go(page, pageUrl(rest));
      assert.ok([404, 405].includes(status) || page.url() !== pageUrl(rest), `${rest}: ${status}`);
    }
    await go(page, pageUrl('/account'));
    assert.equal(page.url(), pageUrl('/account'));
  });
}

/** Addresses that users type. */
export async function otherAddresses({ browser }) {
  const page = await browser.person();
  await check('an unknown address leads to a helpful page', async () => {
    const status = await go(page, pageUrl('/nothing'));
    await lookAtMessage(browser, page);
    assert.equal(status, 404);
    await helps(page);
  });
  await check('an unknown tenant looks like an existing one', async () => {
    const [known, unknown] = [pageUrl('/sign-in'), `${url}/t/999999/sign-in`];
    const pages = [];
    for (const address of [known, unknown]) {
      assert.equal(await go(page, address), 200);
      pages.push((await said(page)).all);
    }
    assert.equal(pages[0], pages[1]);
  });
  await check('with two tenants, the general sign-in page tells users where to go', async () => {
    assert.equal(await go(page, `${url}/sign-in`), 200);
    await browser.look(page, 'chooser');
    const { heading, all } = await said(page);
    assert.match(heading, /sign in/i);
    assert.match(all.slice(heading.length), /\w+ \w+/);
  });
}
