// Onboarding: a user is created over a dialect, gets an invitation, chooses a password and signs in.
import assert from 'node:assert/strict';
import { dialects, assertEverywhere, recordIds, signInApi } from './dialects.mjs';
import { checkMail, url } from './support.mjs';
import { pageUrl, cookiesAreSafe, go, press, said, send, signIn, disableClientValidation } from './pages.mjs';

/** Creates and invites a user; returns the link and its mail. */
export async function inviteUser({ dialect, person, post, from }) {
  const door = dialects[dialect];
  await door.create(person);
  await recordIds(person);
  await door.invite(person);
  const mail = await post.next(person.email);
  return { mail, link: checkMail(mail, 'invitation', { email: person.email, from }) };
}

/** Creates and invites a user and signs in; returns the account page. */
export async function onboard(step, { dialect, person, browser, post, from }) {
  const door = dialects[dialect];
  const page = await browser.person();
  await step('a user is created', async () => {
    await door.create(person);
    await recordIds(person);
    // Users created over SCIM are active at once.
    await assertEverywhere(person, dialect === 'scim' ? 'active' : 'invited');
    assert.equal(await signInApi(person.email, person.password), null, 'no sign-in without a password');
  });
  const link = await step('the invitation mail arrives and is complete', async () => {
    await door.invite(person);
    const mail = await post.next(person.email);
    await inspectMail(browser, mail, 'mail-invitation');
    return checkMail(mail, 'invitation', { email: person.email, from });
  });
  await step('the link opens a page that names the user', async () => {
    assert.equal(await go(page, link), 200);
    await assertChoosePage(page, person);
    await cookiesAreSafe(page, ['muster-form']);
    await browser.look(page, 'choose');
  });
  await step('the browser validates the minimum length', async () => {
    const field = page.locator('[name=new]');
    await field.pressSequentially('short');
    await field.press('Enter');
    assert.equal(await field.evaluate((input) => input.validity.tooShort), true);
    assert.equal(page.url(), link);
  });
  await checkRejectedPasswords(step, { page, link, person, browser, status: dialect === 'scim' ? 'active' : 'invited' });
  await step('a valid password leads to the account page, signed in', async () => {
    assert.equal(await go(page, link), 200);
    assert.equal(await send(page, { new: person.password, again: person.password }), 200);
    await assertAccountPage(page, person);
    assert.match((await said(page)).notice, /password has been set/i);
    await cookiesAreSafe(page, ['muster-device', 'muster-form', 'muster-session']);
    await browser.look(page, 'account-chosen');
    assert.equal(await go(page, pageUrl('/sign-in')), 200);
    await assertAccountPage(page, person);
  });
  await step('signing in leads to the account page with own data', async () => {
    assert.equal(await press(page, 'button', 'Sign out'), 200);
    assert.equal(await send(page, { user: person.email, password: person.password }), 200);
    await assertAccountPage(page, person);
    await cookiesAreSafe(page, ['muster-device', 'muster-form', 'muster-session']);
    await browser.look(page, 'account');
  });
  await step('the user is active over every dialect', () => assertEverywhere(person, 'active'));
  await step('the sign-in API accepts the user', async () => {
    const { user, passwordChangeRequired } = await signInApi(person.email, person.password);
    assert.deepEqual([user.id, user.number], [person.ids.scim, person.ids.ccs]);
    assert.deepEqual([user.email, user.givenName, user.familyName], [person.email, person.first, person.last]);
    assert.deepEqual([user.status, passwordChangeRequired], ['active', false]);
  });
  return { page, link };
}

/** Each password is rejected with its own message, and nothing changes. */
async function checkRejectedPasswords(step, { page, link, person, browser, status }) {
  const bad = [
    ['too short', 'Xk3!vv', 'Xk3!vv', /too short/i],
    ['common', 'password1234', 'password1234', /too common/i],
    ['with a part of the name', `${person.last}-7412-xyz`, `${person.last}-7412-xyz`, /name/i],
    ['equal to the email', person.email, person.email, /email/i],
    ['that differs from its repetition', 'orbit lantern 51', 'orbit lantern 52', /do not match/i],
  ];
  const messages = new Set();
  for (const [what, one, other, wanted] of bad) {
    await step(`a password ${what} is rejected`, async () => {
      assert.equal(await go(page, link), 200);
      await disableClientValidation(page);
      assert.equal(await send(page, { new: one, again: other }), 422);
      const { problem, heading, all } = await said(page);
      assert.match(problem, wanted);
      assert.match(heading, /choose a password/i);
      messages.add(problem);
      assert.ok(!all.includes(one), 'the page does not show the password');
      for (const name of ['new', 'again']) assert.equal(await page.locator(`[name=${name}]`).inputValue(), '');
      await browser.look(page, `choose-${what.replaceAll(' ', '-')}`);
      await assertEverywhere(person, status);
    });
  }
  await step('each has its own message, and none has become the password', async () => {
    assert.equal(messages.size, bad.length - 1, [...messages].join('\n'));
    assert.equal(await signInApi(person.email, 'orbit lantern 51'), null);
    // The link still works, and a page with an error accepts another password.
    assert.equal(await go(page, link), 200);
  });
}

export async function assertChoosePage(page, person) {
  const { all, heading } = await said(page);
  assert.match(heading, /password/i);
  assert.ok(all.includes(`${person.first} ${person.last}`), all);
  assert.equal(await page.locator('[autocomplete=username]').inputValue(), person.email);
}

export async function assertAccountPage(page, person) {
  assert.equal(page.url().split('?')[0], pageUrl('/account'));
  const { all } = await said(page);
  for (const own of [person.email, person.first, person.last]) assert.ok(all.includes(own), `${own} in ${all}`);
}

/** Asserts that the account page redirects to the sign-in page. */
export async function assertSignedOut(page) {
  await go(page, pageUrl('/account'));
  assert.equal(page.url().split('?')[0], pageUrl('/sign-in'));
}

/** Checks a mail as a mail program shows it. */
export async function inspectMail(browser, mail, name) {
  const page = await browser.person();
  await page.setContent(mail.html);
  assert.ok((await page.locator('body').innerText()).includes(url));
  await browser.look(page, name, { isMail: true });
  await page.context().close();
}

/** Signs in and checks the account page. */
export async function signInAndCheck(page, person) {
  assert.equal(await signIn(page, person.email, person.password), 200);
  await assertAccountPage(page, person);
}
