// Settings, counted test steps, a mail server, and the muster program.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

const names = ['MUSTER_URL', 'MUSTER_TENANT', 'MUSTER_KEY', 'MUSTER_SIGN_IN_KEY', 'MUSTER', 'MUSTER_STORE',
  'MUSTER_SMTP_PORT', 'SCREENSHOTS'];
const missing = names.filter((name) => !process.env[name]);
if (missing.length > 0) {
  console.error(`missing environment variables: ${missing.join(', ')} (see clients/README.md)`);
  process.exit(2);
}
export const url = process.env.MUSTER_URL.replace(/\/+$/, '');
export const tenant = Number(process.env.MUSTER_TENANT);
export const key = process.env.MUSTER_KEY;
export const signInKey = process.env.MUSTER_SIGN_IN_KEY;
export const screenshots = process.env.SCREENSHOTS;
// New names in every run, so that the tests can run again on the same store.
export const runId = Date.now().toString(36);

let passed = 0;
let failed = 0;

function fail(name, error) {
  failed += 1;
  console.log(`FAIL ${name}`);
  console.log(error);
}

/** An independent check: later ones run even if it fails. */
export async function check(name, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    fail(name, error);
  }
}

class ScenarioFailed extends Error {}

/** A scenario of dependent steps: the first failure ends this scenario and no other. */
export async function scenario(title, run) {
  const step = async (name, act) => {
    try {
      const result = await act();
      passed += 1;
      console.log(`ok   ${title}: ${name}`);
      return result;
    } catch (error) {
      fail(`${title}: ${name}`, error);
      throw new ScenarioFailed();
    }
  };
  try {
    await run(step);
  } catch (error) {
    if (!(error instanceof ScenarioFailed)) fail(title, error);
  }
}

/** Prints the totals and returns the exit code. */
export function summarize() {
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

export const sleep = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** Runs the program on the server's store; returns its JSON output. */
export function muster(...words) {
  const all = ['--store', process.env.MUSTER_STORE, '--json', ...words];
  // The variables of this test must not be read as settings of the program.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MUSTER')));
  return JSON.parse(execFileSync(process.env.MUSTER, all, { encoding: 'utf8', env }));
}

/** The mail server that receives all mails. */
export class MailServer {
  #mails = [];
  #read = new Map();
  #server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    onData: (stream, session, done) => {
      simpleParser(stream).then((mail) => {
        this.#mails.push({ ...mail, envelope: session.envelope });
        done();
      }, done);
    },
  });

  open() {
    return new Promise((resolve, reject) => {
      this.#server.on('error', reject);
      this.#server.listen(Number(process.env.MUSTER_SMTP_PORT), '127.0.0.1', resolve);
    });
  }

  close() {
    return new Promise((resolve) => { this.#server.close(resolve); });
  }

  /** All mails to an address so far. */
  to(address) {
    return this.#mails.filter((mail) => mail.envelope.rcptTo.some((to) => to.address === address));
  }

  /** The next unread mail to an address. */
  async next(address) {
    const seen = this.#read.get(address) ?? 0;
    for (let tries = 0; tries < 150; tries += 1) {
      const mails = this.to(address);
      if (mails.length > seen) {
        this.#read.set(address, seen + 1);
        return mails[seen];
      }
      await sleep(100);
    }
    return assert.fail(`no mail arrived for ${address}`);
  }
}

/** Checks a mail and returns its link. */
export function checkMail(mail, kind, { email, from }) {
  assert.equal(mail.from.value.length, 1);
  assert.equal(mail.from.value[0].name, from);
  assert.equal(mail.from.value[0].address, 'people@example.com');
  assert.deepEqual(mail.to.value.map((to) => to.address), [email]);
  assert.deepEqual(mail.envelope.rcptTo.map((to) => to.address), [email]);
  assert.match(mail.messageId, /^<[^@\s<>]+@[^@\s<>]+>$/);
  assert.equal(mail.headers.get('auto-submitted'), 'auto-generated');
  assert.ok(Math.abs(mail.date - Date.now()) < 120_000, 'the date is now');
  assert.ok(mail.subject.includes(from), mail.subject);
  const inText = mail.text.match(/https?:\/\/\S+/g);
  assert.equal(inText?.length, 1, mail.text);
  const [link] = inText;
  assert.ok(link.startsWith(`${url}/t/${tenant}/${kind}/`), link);
  const inHtml = [...mail.html.matchAll(/href="([^"]*)"/g)].map(([, address]) => unescape(address));
  assert.ok(inHtml.length > 0, 'the HTML has a link');
  for (const address of inHtml) assert.equal(address, link);
  assert.ok(!/<(img|script|link|iframe)\b/i.test(mail.html), 'mails load no external resources');
  return link;
}

function unescape(text) {
  return text.replaceAll(/&#x([0-9a-f]+);/gi, (_, hex) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replaceAll('&amp;', '&');
}
