// What an email's HTML may hold, so that the clients people use show it: Gmail, Outlook (Word's engine), Apple Mail,
// Thunderbird, mobile ones. Each rule is a test of the document's text or of its elements, and says what is wrong.

module.exports = (html) => {
  const wrong = [];
  const never = (what, pattern) => {
    const found = html.match(pattern);
    if (found) wrong.push(`${what}: ${found[0].slice(0, 60)}`);
  };
  never('active content', /<(script|iframe|object|embed|form|input|button|video|audio|canvas|svg|base)[\s>]/i);
  never('an event handler', /<[^>]+\son[a-z]+\s*=/i);
  never('a stylesheet from outside', /<link[\s>]|@import/i);
  never('remote content', /<img[\s>]|url\(|\ssrc\s*=|\sbackground\s*=/i);
  never('a layout that mail readers drop', /(?<![-\w])(position|float|grid|flex)\s*:|display\s*:\s*(flex|grid|inline-block)/i);
  never('JavaScript in an address', /href\s*=\s*["']?\s*(javascript|data|vbscript):/i);
  never('a custom property or calc()', /var\(|calc\(/i);
  // Gmail clips a message that is longer.
  if (Buffer.byteLength(html) > 102 * 1024) wrong.push(`${Buffer.byteLength(html)} bytes: Gmail clips after 102 KiB`);
  for (const [, width] of html.matchAll(/(?:max-)?width\s*:\s*(\d+)px/gi)) {
    if (Number(width) > 640) wrong.push(`wider than 640: ${width}px`);
  }
  // What looks right only with the style block is wrong where that is dropped.
  const body = html.slice(html.indexOf('<body'));
  if (/<style/i.test(body)) wrong.push('a style block outside of the head');
  for (const [tag, attributes] of body.matchAll(/<(?:td|table|h1|h2|pre|span|a|p|div|body)\b([^>]*)>/g)) {
    if (/class=/.test(attributes) && !/style=/.test(attributes) && !/bgcolor=/.test(attributes)) wrong.push(`no style of its own: ${tag}`);
    if (/background-color/.test(attributes) && /class="(page|card|seen|log)"/.test(attributes) && !/[^-]color:#/.test(attributes)
      && !tag.startsWith('<table')) wrong.push(`a background without a colour for text: ${tag}`);
  }
  for (const [tag] of body.matchAll(/<table\b[^>]*>/g)) {
    if (!/role="presentation"/.test(tag)) wrong.push(`a table that screen readers would read as one: ${tag}`);
  }
  return wrong;
};
