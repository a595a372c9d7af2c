// node photograph.cjs LASTWORDS DIR: see ./run

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const puppeteer = require('puppeteer-core');
const axe = require('axe-core');
const makeMessages = require('./messages.cjs');
const breaches = require('./mail-rules.cjs');

const [bin, dir] = process.argv.slice(2);
const WIDTHS = [360, 800];
const SCHEMES = ['light', 'dark'];

async function main() {
  const browser = await puppeteer.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  const failures = [];
  let contrasts = 0;
  for (const [name, report] of Object.entries(makeMessages(bin))) {
    const file = path.join(dir, `${name}.json`);
    fs.writeFileSync(file, JSON.stringify(report));
    const html = execFileSync(bin, ['render', '--report', path.resolve(file), '--format', 'html'], { maxBuffer: 1 << 26 }).toString();
    fs.writeFileSync(path.join(dir, `${name}.html`), html);
    failures.push(...breaches(html).map((breach) => `${name}: ${breach}`));
    for (const scheme of SCHEMES) {
      for (const width of WIDTHS) {
        const at = `${name}-${width}-${scheme}`;
        const page = await browser.newPage();
        const asked = [];
        page.on('request', (request) => { if (!request.url().startsWith('file:')) asked.push(request.url()); });
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
        await page.setViewport({ width, height: 800, isMobile: width < 500, hasTouch: width < 500 });
        await page.goto(`file://${path.resolve(dir, `${name}.html`)}`);
        if (asked.length) failures.push(`${at}: it asks for ${asked[0]}`);
        const wide = await page.evaluate(() => {
          const room = document.documentElement.clientWidth;
          const over = [...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > room + 0.5);
          return { room, scroll: document.documentElement.scrollWidth, over: over.length, first: over[0]?.outerHTML.slice(0, 200) };
        });
        if (wide.scroll > wide.room || wide.over) failures.push(`${at}: wider than its window: ${JSON.stringify(wide)}`);
        await page.evaluate(axe.source);
        const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }));
        contrasts += found.passes.find((rule) => rule.id === 'color-contrast')?.nodes.length ?? 0;
        for (const rule of found.violations) failures.push(`${at}: ${rule.id}: ${rule.nodes.length}: ${rule.nodes[0].html.slice(0, 120)}: ${rule.nodes[0].failureSummary.slice(0, 300)}`);
        for (const rule of found.incomplete.filter((it) => it.id === 'color-contrast')) {
          // Block characters are no text to axe; the sparkline has the colours that are checked beside it.
          const unknown = rule.nodes.filter((node) => !node.html.includes('class="spark"'));
          if (unknown.length) failures.push(`${at}: contrast not known: ${unknown[0].html.slice(0, 200)}`);
        }
        await page.screenshot({ path: path.join(dir, `${at}.png`), fullPage: true });
        await page.close();
      }
    }
  }
  await browser.close();
  for (const failure of failures) console.log(`FAIL ${failure}`);
  console.log(`${failures.length} failures; ${contrasts} texts with contrast enough; pictures in ${dir}`);
  process.exit(failures.length ? 1 : 0);
}

main();
