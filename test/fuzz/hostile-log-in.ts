/** In the log-in: HTTP that is not, that does not end or that leads nowhere, and documents that were made to hurt a parser or a person. */
import type { HttpHeaders, HttpResponse } from '../../src/core/http/message.ts';
import { renderResponse } from '../../src/core/http/render.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';
import type { Dice } from './dice.ts';
import { document, page } from './honest-flow.ts';
import { badly, type Delivery, honestly, mutated, mutatedText, NASTY_TEXTS, nastyText } from './hostile-bytes.ts';
import type { Hostility } from './hostile-gateway.ts';

/** True for the nth of the moments it is asked about, sometimes for all from there on. */
export function momentOf(dice: Dice, most: number): () => boolean {
  const first = dice.below(most);
  const goesOn = dice.oneIn(2);
  let n = 0;
  return () => {
    const at = n++;
    return at === first || (goesOn && at > first);
  };
}

/** An answer whose bytes are changed, cut off, dripped or followed by nonsense. */
export function damagedAnswers(dice: Dice): Hostility {
  const isDue = momentOf(dice, 4);
  const changes = dice.oneIn(2);
  return {
    http: (answer, { dice: own }) => {
      const bytes = renderResponse(answer);
      if (!isDue()) return honestly(bytes);
      return badly(own, changes ? mutated(own, bytes) : bytes);
    },
  };
}

const NUMBERS: readonly [string, ...string[]] = [
  '-1',
  '0',
  '00000000000000000000000000000000000005',
  '5, 5',
  '5, 6',
  '1e3',
  '0x10',
  '+7',
  'NaN',
  'Infinity',
  '9007199254740993',
  '99999999999999999999999999',
  '4294967296',
  '',
];

/** Framings of an answer that do not say where it ends, or say it twice, or lie. */
export function framedBadly(dice: Dice): Hostility {
  const isDue = momentOf(dice, 4);
  return {
    http: (answer, { dice: own }) => {
      if (!isDue()) return honestly(renderResponse(answer));
      const head = `HTTP/1.${own.pick([0, 1, 1, 2, 9])} ${own.pick(['200', '200', '2000', '99', '100', '101', '204', '304', '999'])} ${nastyLine(own)}\r\n`;
      const headers = own
        .shuffled([
          ...own.times(own.below(3), () => `Content-Length: ${own.pick(NUMBERS)}`),
          ...own.times(
            own.below(3),
            () => `Transfer-Encoding: ${own.pick(['chunked', 'chunked, chunked', 'gzip', 'identity', 'xchunked'])}`,
          ),
          ...own.times(own.below(2), () => `Connection: ${own.pick(['close', 'keep-alive', 'upgrade', nastyLine(own)])}`),
          ...own.times(own.below(3), () => ` ${nastyLine(own)}`),
          ...own.times(own.below(3), () => nastyLine(own)),
        ])
        .join('\r\n');
      const chunks = own.times(
        own.below(4),
        () => `${own.pick([...NUMBERS, '5', 'a', 'fffffffffffff'])}${own.pick(['', ';x=y'])}\r\n12345\r\n`,
      );
      const bytes = Buffer.concat([Buffer.from(head + headers, 'latin1'), utf8('\r\n\r\n'), utf8(chunks.join('')), answer.body]);
      return badly(own, bytes);
    },
  };
}

/** Something of an answer never ends: its head, its body, its chunks, the interim answers in front of it, or what follows it unasked. */
export function endlessAnswers(dice: Dice): Hostility {
  const isDue = momentOf(dice, 3);
  const make = dice.pick<(answer: HttpResponse, own: Dice) => Delivery>([
    () => endless('HTTP/1.1 200 OK\r\n', 'X-More: and more\r\n'),
    () => endless('HTTP/1.1 200 OK\r\nX-Long: ', 'aaaaaaaaaaaaaaaa'),
    () => endless('HTTP/1.1 200 OK\r\nX-Folded: a\r\n', ' and\r\n'),
    () => endless('HTTP/1.1 200 OK\r\n', `Set-Cookie: c${'%'}=${'v'.repeat(500)}\r\n`),
    () => endless('HTTP/1.1 200 ', 'OK'),
    () => endless('', '\r\n'),
    () => endless('', 'HTTP/1.1 100 Continue\r\n\r\n'),
    () => endless('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n', '<config-auth>'),
    () => endless('HTTP/1.1 200 OK\r\nContent-Length: 9007199254740991\r\n\r\n', '<a>'),
    () => endless('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '8\r\nchunked!\r\n'),
    () => endless('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '400;e=f\r\n'.concat('y'.repeat(1024), '\r\n')),
    () => endless('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '0'),
    () => endless('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n', 'X-Trailer: t\r\n'),
    // The answer is whole, and the person thinks about it while this comes.
    (answer) => ({ ...honestly(renderResponse(answer)), endless: utf8('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx') }),
    (answer) => ({ ...honestly(renderResponse(answer)), endless: utf8('no HTTP at all ') }),
  ]);
  return { http: (answer, { dice: own }) => (isDue() ? make(answer, own) : honestly(renderResponse(answer))) };
}

function endless(start: string, unit: string): Delivery {
  return { ...honestly(utf8(start)), endless: utf8(unit), ending: 'stall' };
}

/** Redirects, forms, host scans, group changes and cookies that never come to an end. */
export function endlessLogIn(dice: Dice): Hostility {
  let n = 0;
  const step = dice.pick<(answer: HttpResponse, port: number) => HttpResponse>([
    () => page('', 302, [['Location', `/${n}`]]),
    (_, port) => page('', 302, [['Location', `https://127.0.0.1:${port}/${n}`]]),
    (_, port) => page('', 302, [['Location', `https://${n % 2 === 0 ? 'localhost' : '127.0.0.1'}:${port}/`]]),
    () => page('', 302, [['Location', nastyLine(dice)]]),
    () => document(`<auth id="main"><form action="/${n}"><input type="password" name="password" label="Again:"/></form></auth>`),
    () => document('<auth id="main"><authentication-complete/></auth>'),
    () => document('<client-cert-request/>'),
    () =>
      page('<html/>', 401, [['WWW-Authenticate', dice.pick(['Negotiate', 'Digest realm="r", nonce="n", stale=true', 'Basic realm="x"'])]]),
    (answer) => ({ ...answer, headers: [...answer.headers, ...cookies(dice, n)] }),
  ]);
  return {
    document: (answer, { stream }) => {
      n++;
      return step(answer, stream.localPort ?? 443);
    },
  };
}

function cookies(dice: Dice, round: number): HttpHeaders {
  return dice.times(200, (i) => ['Set-Cookie', `c${round}-${i}=${'v'.repeat(dice.below(300))}; path=${dice.pick(['/', '/x', ''])}`]);
}

/** The document that the honest gateway would have sent, with its text changed. */
export function damagedDocuments(dice: Dice): Hostility {
  const isDue = momentOf(dice, 4);
  return {
    document: (answer, { dice: own }) => (isDue() ? withBody(answer, mutatedText(own, fromUtf8(answer.body))) : answer),
  };
}

/** Documents against parsers: depth, entities, numbers of things, lengths. And forms that would mislead whoever answers them. */
export function monstrousDocuments(dice: Dice): Hostility {
  const isDue = momentOf(dice, 3);
  const many = dice.pick([100, 10_000, 200_000]);
  const text = dice.pick<() => string>([
    () => `<config-auth>${'<a>'.repeat(many)}`,
    () => `<config-auth>${'<a>'.repeat(many)}${'</a>'.repeat(many)}<auth id="main"/></config-auth>`,
    () => `<config-auth><opaque>${'<a b="c">'.repeat(many)}${'</a>'.repeat(many)}</opaque>${PASSWORD_FORM}</config-auth>`,
    () => bombOf('&b;'),
    () => bombOf('&a;'.repeat(many)),
    () => `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><config-auth><auth id="main"><message>&f;</message></auth></config-auth>`,
    () => `<config-auth><auth id="main"><message>${'&amp;'.repeat(many)}</message></auth></config-auth>`,
    () => `<config-auth><auth id="main"><message>${'%s'.repeat(many)}</message></auth></config-auth>`,
    () => `<config-auth><auth id="main"><message param1="${'%s'.repeat(1000)}" param2="%s">%s%s</message>${FORM_ONLY}</auth></config-auth>`,
    () =>
      `<config-auth><auth id="main"><form>${dice.times(many, (i) => `<input type="text" name="f${i}"/>`).join('')}</form></auth></config-auth>`,
    () => `<config-auth><auth id="main"><form>${`<input type="hidden" name="same" value="v"/>`.repeat(many)}</form></auth></config-auth>`,
    () => `<config-auth><auth id="main"><form>${select(dice, many)}</form></auth></config-auth>`,
    () => `<config-auth><auth id="main"><form>${dice.times(20, () => nastyInput(dice)).join('')}</form></auth></config-auth>`,
    () => `<config-auth ${dice.times(many, (i) => `a${i}="v"`).join(' ')}><auth id="main"/></config-auth>`,
    () => `<config-auth><!--${'-'.repeat(many)}`,
    () => `<config-auth><![CDATA[${']'.repeat(many)}`,
    () => `<config-auth><auth id="success"/><session-token>${nastyText(dice)}</session-token></config-auth>`,
    () => `${PASSWORD_FORM.repeat(many)}`,
    () => '\0'.repeat(many),
    () => '<'.repeat(many),
    () => '&'.repeat(many),
  ]);
  return { document: (answer) => (isDue() ? withBody(answer, text()) : answer) };
}

const FORM_ONLY = '<form method="post"><input type="password" name="password" label="Password:"/></form>';
const PASSWORD_FORM = `<auth id="main">${FORM_ONLY}</auth>`;

/** Each entity is ten of the one before. A parser that knows no entities but its own five is left cold. */
function bombOf(use: string): string {
  const levels = ['<!ENTITY a "ha">', ...Array.from({ length: 30 }, (_, i) => `<!ENTITY b${i} "${`&b${i - 1};`.repeat(10)}">`)];
  return `<?xml version="1.0"?><!DOCTYPE x [${levels.join('')}<!ENTITY b "&b29;">]><config-auth><auth id="main"><message>${use}</message>${FORM_ONLY}</auth></config-auth>`;
}

function select(dice: Dice, many: number): string {
  const options = dice.times(many, (i) => `<option value="${i}"${i % 3 === 0 ? ' selected="true"' : ''}>${i}</option>`);
  return `<select name="${dice.pick(['group_list', 'x'])}">${options.join('')}</select>`;
}

function nastyInput(dice: Dice): string {
  const value = () => escaped(dice.oneIn(2) ? dice.pick(['username', 'password', 'group_list', 'answer', 'text']) : nastyText(dice));
  const type = dice.pick(['text', 'password', 'hidden', 'sso', 'submit', value()]);
  return `<input type="${type}" name="${value()}" label="${value()}" value="${value()}" second-auth="${dice.pick(['1', '0', 'x'])}"/>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}

function withBody(answer: HttpResponse, text: string): HttpResponse {
  const body = utf8(text);
  const headers = answer.headers.map(([name, value]) => [name, name === 'Content-Length' ? String(body.length) : value] as const);
  return { ...answer, headers, body };
}

/** Of one line: what headers may not hold is what they get. */
function nastyLine(dice: Dice): string {
  return dice.pick(NASTY_TEXTS).replaceAll(/[\r\n\0]/g, '');
}
