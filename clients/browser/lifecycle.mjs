// The life cycle of an account, from the first sign-in to its deletion and restoration.
import assert from 'node:assert/strict';
import { assertAccountPage, assertChoosePage, signInAndCheck, assertSignedOut, inspectMail } from './onboarding.mjs';
import { dialects, assertEverywhere, signInApi } from './dialects.mjs';
import { checkMail, muster, sleep, tenant } from './support.mjs';
import { pageUrl, go, press, said, send, signIn } from './pages.mjs';

export async function lifecycle(step, { page, person, browser, post, from }) {
  const all = { page, person, browser, post, from };
  await step('signing out ends the session', async () => {
    assert.equal(await press(page, 'button', 'Sign out'), 200);
    assert.match((await said(page)).notice, /signed out/i);
    await browser.look(page, 'sign-in-out');
    await assertSignedOut(page);
  });
  await forcedPasswordChange(step, all);
  await signOutEverywhere(step, all);
  await passwordReset(step, all);
  await deactivateAndActivate(step, all);
  await deletedAndRestored(step, all);
  await signInThrottling(step, all);
}

async function forcedPasswordChange(step, { page, person, browser }) {
  const next = 'walnut harbour 77 sketch';
  await step('a user who must change the password sees no other page', async () => {
    await dialects.ccs.force(person);
    assert.equal((await signInApi(person.email, person.password)).passwordChangeRequired, true);
    assert.equal(await signIn(page, person.email, person.password), 200);
    for (const address of ['/account', '', '/account?done=changed', '/password']) {
      await go(page, pageUrl(address));
      assert.equal(page.url().split('?')[0], pageUrl('/password'), address);
    }
    assert.match((await said(page)).all, /to continue, choose a new password/i);
    assert.equal(await page.locator('main a[href$="/account"]').count(), 0, 'no link to an inaccessible page');
    await browser.look(page, 'forced-change');
  });
  const bad = [
    ['a wrong old password', { old: 'not what it is', new: next, again: next }, 403, /current password is incorrect/i],
    ['two different new passwords', { old: person.password, new: next, again: `${next}!` }, 422, /do not match/i],
    ['the current password', { old: person.password, new: person.password, again: person.password }, 422, /different from the current password/i],
    ['a common password', { old: person.password, new: 'password1234', again: 'password1234' }, 422, /too common/i],
  ];
  for (const [what, fields, status, wanted] of bad) {
    await step(`a change with ${what} is rejected`, async () => {
      assert.equal(await send(page, fields), status);
      assert.match((await said(page)).problem, wanted);
      assert.match((await said(page)).all, /to continue, choose a new password/i);
      await browser.look(page, 'forced-change-error');
      assert.equal(await dialects.ccs.isForced(person), true);
    });
  }
  await step('after the change the user continues', async () => {
    assert.equal(await send(page, { old: person.password, new: next, again: next }), 200);
    await assertAccountPage(page, person);
    assert.match((await said(page)).notice, /changed/i);
    await browser.look(page, 'account-changed');
    assert.equal(await dialects.ccs.isForced(person), false);
    assert.equal(await signInApi(person.email, person.password), null);
    person.password = next;
    assert.equal((await signInApi(person.email, next)).passwordChangeRequired, false);
  });
  await step('the password can be changed at any time', async () => {
    assert.equal(await press(page, 'link', 'Change password'), 200);
    await browser.look(page, 'change');
    const another = 'quiet ferry 19 marmalade';
    assert.equal(await send(page, { old: 'not what it is', new: another, again: another }), 403);
    await browser.look(page, 'change-error');
    assert.equal(await send(page, { old: person.password, new: another, again: another }), 200);
    await assertAccountPage(page, person);
    person.password = another;
    assert.ok(await signInApi(person.email, another));
  });
}

async function signOutEverywhere(step, { page, person, browser }) {
  const second = await browser.person();
  await step('two sessions at a time, and each shows both', async () => {
    await signInAndCheck(second, person);
    assert.match((await said(second)).all, /2|two/i);
    await browser.look(second, 'account-two-browsers');
    assert.equal(await go(page, pageUrl('/account')), 200);
    await assertAccountPage(page, person);
  });
  await step('changing the password in one session ends the other', async () => {
    const next = 'saffron bridge 8 otter';
    await go(second, pageUrl('/password'));
    assert.equal(await send(second, { old: person.password, new: next, again: next }), 200);
    person.password = next;
    await assertAccountPage(second, person);
    await assertSignedOut(page);
    await signInAndCheck(page, person);
  });
  await step('signing out everywhere ends both', async () => {
    await go(second, pageUrl('/account'));
    assert.equal(await press(second, 'button', 'Sign out everywhere'), 200);
    await browser.look(second, 'sign-in-out-everywhere');
    await assertSignedOut(second);
    await assertSignedOut(page);
  });
  await second.context().close();
}

async function passwordReset(step, { page, person, browser, post, from }) {
  const old = person.password;
  const next = 'copper window 303 plum';
  const nobody = `nobody.${person.email}`;
  await step('a password reset request gets the same answer for known and unknown users', async () => {
    await signInAndCheck(page, person);
    const other = await browser.person();
    const answers = [];
    for (const user of [nobody, person.email]) {
      assert.equal(await go(other, pageUrl('/sign-in')), 200);
      assert.equal(await press(other, 'link', 'Forgot your password?'), 200);
      await browser.look(other, 'forgot');
      const status = await send(other, { user });
      answers.push({ status, url: other.url(), html: (await other.content()).replaceAll(/ value="[\w-]{43}"/g, '') });
    }
    assert.deepEqual(answers[0], answers[1]);
    assert.equal(answers[0].status, 200);
    await browser.look(other, 'forgot-answered');
    await other.context().close();
  });
  const link = await step('only the known user gets a mail', async () => {
    const mail = await post.next(person.email);
    await inspectMail(browser, mail, 'mail-reset');
    assert.deepEqual(post.to(nobody), []);
    return checkMail(mail, 'reset', { email: person.email, from });
  });
  await step('the request alone changes nothing', async () => {
    await go(page, pageUrl('/account'));
    await assertAccountPage(page, person);
    assert.ok(await signInApi(person.email, old));
  });
  await step('the link sets a new password', async () => {
    const other = await browser.person();
    assert.equal(await go(other, link), 200);
    await assertChoosePage(other, person);
    await browser.look(other, 'reset');
    assert.equal(await send(other, { new: next, again: next }), 200);
    assert.match((await said(other)).notice, /password has been set/i);
    assert.equal(await go(other, link), 410);
    await other.context().close();
  });
  await step('the old password fails, the new one works, and earlier sessions have ended', async () => {
    await assertSignedOut(page);
    assert.equal(await signIn(page, person.email, old), 403);
    assert.match((await said(page)).problem, /incorrect email, user name or password/i);
    assert.equal(await page.locator('[name=password]').inputValue(), '');
    await browser.look(page, 'sign-in-error');
    assert.equal(await signInApi(person.email, old), null);
    person.password = next;
    await signInAndCheck(page, person);
    assert.ok(await signInApi(person.email, next));
  });
}

async function deactivateAndActivate(step, { page, person }) {
  for (const [off, on] of [['scim', 'publisher'], ['publisher', 'onfire v2'], ['onfire v1', 'scim']]) {
    await step(`deactivated over ${off}, sign-in fails and sessions end`, async () => {
      await dialects[off].off(person);
      await assertEverywhere(person, 'off');
      await assertSignedOut(page);
      assert.equal(await signIn(page, person.email, person.password), 403);
      assert.match((await said(page)).problem, /incorrect email, user name or password/i);
      assert.equal(await signInApi(person.email, person.password), null);
    });
    await step(`activated over ${on}, sign-in works again`, async () => {
      await dialects[on].on(person);
      await assertEverywhere(person, 'active');
      await assertSignedOut(page);
      await signInAndCheck(page, person);
      assert.ok(await signInApi(person.email, person.password));
    });
  }
}

async function deletedAndRestored(step, { page, person }) {
  for (const [over, word] of [['ccs', person.email], ['scim', String(person.ids.ccs)], ['onfire v2', person.ids.scim]]) {
    await step(`deleted over ${over}, the user is missing from every dialect and page`, async () => {
      await dialects[over].remove(person);
      await assertEverywhere(person, 'gone');
      await assertSignedOut(page);
      // Attempts for unknown users are throttled, too, so try only once.
      if (over === 'ccs') assert.equal(await signIn(page, person.email, person.password), 403);
      assert.equal(await signInApi(person.email, person.password), null);
    });
    await step(`restored by ${word}, the user is unchanged`, async () => {
      muster('user', 'restore', '--tenant', String(tenant), word);
      await assertEverywhere(person, 'active');
      await assertSignedOut(page);
      await signInAndCheck(page, person);
      assert.ok(await signInApi(person.email, person.password));
    });
  }
}

async function signInThrottling(step, { page, person, browser }) {
  await step('repeated wrong passwords are throttled, and the page shows the waiting time', async () => {
    assert.equal(await press(page, 'button', 'Sign out'), 200);
    let status;
    for (let guesses = 0; guesses < 20 && status !== 429; guesses += 1) {
      status = await signIn(page, person.email, `guess number ${guesses}`);
    }
    assert.equal(status, 429);
    assert.match((await said(page)).problem, /too many failed attempts/i);
    await browser.look(page, 'sign-in-throttled');
  });
  await step('after waiting, sign-in works', async () => {
    await sleep(2500);
    await signInAndCheck(page, person);
  });
}
