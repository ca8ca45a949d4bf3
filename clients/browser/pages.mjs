// The browser: the user pages, and the checks that apply to every page.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { check, screenshots, tenant, url } from './support.mjs';

const sizes = [{ width: 1280, height: 800 }, { width: 375, height: 812 }];
// The first installed one is used. The headless shell needs half the CPU time.
const programs = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const focusable = 'a[href], button, input:not([type=hidden]), select, textarea, [tabindex]';
// Impacts that fail a check; other findings are only listed.
const severeImpacts = ['serious', 'critical'];

export const pageUrl = (rest) => `${url}/t/${tenant}${rest}`;

export class Browser {
  #browser;
  #inspection;
  #seen = new Set();
  // Distinct problems of any page.
  #wrong = new Set();
  #remarks = new Map();
  // axe checks pages one after another while the scenarios continue.
  #inspections = Promise.resolve();

  async open() {
    mkdirSync(screenshots, { recursive: true });
    const executablePath = programs.find((program) => existsSync(program));
    assert.ok(executablePath, `one of ${programs.join(', ')} must be installed`);
    this.#browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
    // axe needs scripts; users' browsers have them disabled.
    this.#inspection = await (await this.#browser.newContext()).newPage();
  }

  close() { return this.#browser.close(); }

  /** A page in its own browser context, with scripts disabled. */
  async person() {
    const context = await this.#browser.newContext({ javaScriptEnabled: false, viewport: sizes[0] });
    // Long enough for a busy machine.
    context.setDefaultTimeout(60_000);
    context.on('request', (request) => {
      if (!request.url().startsWith(`${url}/`)) this.#wrong.add(`a page requested ${request.url()}`);
    });
    context.on('response', (response) => this.#headers(response));
    const page = await context.newPage();
    page.on('console', (message) => {
      if (/Content Security Policy/i.test(message.text())) this.#wrong.add(`${page.url()}: ${message.text()}`);
    });
    return page;
  }

  #headers(response) {
    const { pathname } = new URL(response.url());
    const headers = response.headers();
    const wanted = {
      'content-security-policy': policy,
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    };
    // A file that is the same for all users may be cached.
    if (pathname === '/pages/style.css') delete wanted['cache-control'];
    for (const [name, value] of Object.entries(wanted)) {
      if (headers[name] !== value) {
        this.#wrong.add(`${response.status()} ${pathname.slice(0, 40)}: ${name} is ${headers[name]}`);
      }
    }
    if (response.status() >= 500) this.#wrong.add(`${response.status()} ${pathname.slice(0, 40)}`);
  }

  /** Reports the problems of all pages. */
  async verdict() {
    await this.#inspections;
    await check('every response has the security headers, and no page requests external resources', () => {
      assert.deepEqual([...this.#wrong], []);
    });
    for (const [remark, pages] of this.#remarks) console.log(`axe: ${remark}: ${[...pages].join(', ')}`);
    console.log(`screenshots of ${this.#seen.size} pages: ${screenshots}`);
  }

  /** Checks a page in its current state: screenshots, axe, narrow screens and keyboard. Each name is checked once. */
  async look(page, name, { isMail = false } = {}) {
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    for (const size of sizes) {
      await page.setViewportSize(size);
      await page.screenshot({ path: path.join(screenshots, `${name}-${size.width}.png`), fullPage: true });
    }
    await check(`${name}: no horizontal scrolling at 320 pixels`, async () => {
      await page.setViewportSize({ width: 320, height: 640 });
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= 320, `${width} pixels wide`);
    });
    await page.setViewportSize(sizes[0]);
    const [html, where] = [await page.content(), page.url()];
    this.#inspections = this.#inspections.then(() => check(`${name}: axe finds no severe problem`, async () => {
      assert.deepEqual(await this.#axe(html, where, name), []);
    }));
    if (isMail) return;
    await check(`${name}: the Tab key reaches everything in order`, () => keyboard(page));
    await check(`${name}: a heading, a title and a language`, async () => {
      assert.equal(await page.locator('h1').count(), 1);
      assert.match(await page.title(), /\S/);
      assert.match(await page.locator('html').getAttribute('lang'), /^[a-z]{2}/);
    });
  }

  /** Loads the same page with scripts enabled for axe; returns the severe findings. */
  async #axe(html, where, name) {
    const shown = this.#inspection;
    const findings = [];
    if (where.startsWith('http')) {
      await shown.route(where, (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body: html }));
      await shown.goto(where);
      await shown.unroute(where);
    } else {
      await shown.goto('about:blank');
      await shown.setContent(html);
    }
    await shown.evaluate(axe.source);
    for (const [size, colorScheme] of [[sizes[0], 'light'], [sizes[1], 'light'], [sizes[0], 'dark']]) {
      await shown.setViewportSize(size);
      await shown.emulateMedia({ colorScheme });
      const { violations } = await shown.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
      for (const { id, impact, help, nodes } of violations) {
        const text = `${impact} ${id} (${help})`;
        const where = nodes.map((node) => node.html.slice(0, 120));
        if (severeImpacts.includes(impact)) findings.push({ text, colorScheme, width: size.width, where });
        this.#remarks.set(text, (this.#remarks.get(text) ?? new Set()).add(name));
      }
    }
    if (where.startsWith('http')) {
      const file = path.join(screenshots, `${name}-dark.png`);
      await shown.screenshot({ path: file, fullPage: true });
    }
    return findings;
  }
}

/** Checks that the Tab key focuses each interactive element once, in document order. */
async function keyboard(page) {
  const wanted = await page.evaluate((selector) => [...document.querySelectorAll(selector)]
    .map((element, index) => { element.dataset.place = index; return element.outerHTML.slice(0, 80); }), focusable);
  // Start at the top of the page, as after loading it.
  await page.evaluate(() => { document.activeElement?.blur(); globalThis.getSelection()?.removeAllRanges(); });
  const met = [];
  for (let presses = 0; presses <= wanted.length; presses += 1) {
    await page.keyboard.press('Tab');
    const now = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const style = getComputedStyle(element);
      return { place: Number(element.dataset.place), isSeen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 };
    });
    if (!now) break;
    assert.ok(now.isSeen, `no visible focus on ${wanted[now.place]}`);
    if (met.includes(now.place)) break;
    met.push(now.place);
  }
  assert.deepEqual(met.map((place) => wanted[place]), wanted);
}

/** The texts of a page: its heading, its notice or problem, and the main text. */
export async function said(page) {
  const text = async (selector) => {
    const all = await page.locator(selector).allInnerTexts();
    return all.join('\n');
  };
  return { heading: await text('h1'), notice: await text('.notice'), problem: await text('.problem'), all: await text('main') };
}

/** Opens an address; returns the status. */
export async function go(page, address) {
  const answer = await page.goto(address);
  return answer.status();
}

/** Fills in a form and submits it with the Enter key; returns the status of the next page. */
export async function send(page, fields) {
  const entries = Object.entries(fields);
  for (const [name, value] of entries) await page.locator(`[name=${name}]`).fill(value);
  return enter(page, page.locator(`[name=${entries.at(-1)[0]}]`));
}

async function enter(page, field) {
  const [answer] = await Promise.all([
    page.waitForResponse((one) => one.request().isNavigationRequest() && ![302, 303].includes(one.status())),
    field.press('Enter'),
  ]);
  await page.waitForLoadState('load');
  return answer.status();
}

/** Activates a button or link by its text; returns the status of the next page. */
export function press(page, role, name) {
  return enter(page, page.getByRole(role, { name, exact: true }));
}

export const signIn = async (page, user, password) => {
  assert.equal(await go(page, pageUrl('/sign-in')), 200);
  return send(page, { user, password });
};

/** Disables the browser's form validation, to test the server's. */
export const disableClientValidation = (page) => page.evaluate(() => {
  for (const form of document.forms) form.noValidate = true;
});

/** Checks the cookies' attributes. They are not `Secure`, because the server runs on loopback without TLS. */
export async function cookiesAreSafe(page, names) {
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map((cookie) => cookie.name).sort(), names);
  for (const cookie of cookies) {
    assert.equal(cookie.httpOnly, true, cookie.name);
    assert.equal(cookie.sameSite, 'Lax', cookie.name);
    assert.equal(cookie.secure, false, cookie.name);
    assert.equal(cookie.path, `/t/${tenant}`, cookie.name);
  }
}
