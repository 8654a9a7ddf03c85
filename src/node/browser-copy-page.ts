/**
 * The page of this machine that a browser's log-in begins with, where the browser cannot be sent back here: it leads to the log-in, and takes what the person
 * has copied at its end.
 *
 *   /OPEN    once: leads to the page. This is what the browser is opened with, and others on the machine can see it in the process list
 *   /PAGE    the page; POST: what was copied. Nobody but the browser that came by the first address knows it
 *   /BEGIN   the gateway's own page, in a place where it can reach nothing of this
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CopiedBrowse } from '../core/auth/login-io.ts';
import { PeerRefusedError } from '../core/errors.ts';
import { parseForm } from '../core/http/form-urlencoded.ts';
import { escapedAttribute, escapedText } from '../core/markup/xml.ts';

const TOKEN_BYTES = 16;
/** Bytes of a form with what was copied, escaped. */
const MAX_FORM = 1_048_576;

const OPENED_TWICE =
  'The address that the browser was opened with has been opened twice: by the browser itself, or by somebody else on this machine. Log in again.';

const STYLE = 'body{font:1rem/1.5 sans-serif;max-width:40rem;margin:2rem auto}textarea{width:100%;height:8rem}';
/** Our own page has no script, and is in no other's frame. */
const OWN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
/** The gateway's has an origin of its own: it cannot read this page, nor what is copied into it. */
const FOREIGN_POLICY = 'sandbox allow-forms allow-scripts allow-popups allow-top-navigation';

export class CopyPage {
  /** Where a browser is to begin. */
  readonly path: string = secretPath();
  readonly #page: string = secretPath();
  readonly #begin: string = secretPath();
  readonly #request: CopiedBrowse;
  #isOpened = false;

  constructor(request: CopiedBrowse) {
    this.#request = request;
  }

  /** Rejects with what `isAnswer` throws, and with PeerRefusedError when a second one comes to {@link path}: whoever was first may be somebody else. */
  async serve(asked: IncomingMessage, answer: ServerResponse, brought: (text: string) => void): Promise<void> {
    const { start } = this.#request;
    const isAt = (path: string, method: string) => asked.url === path && asked.method === method;
    if (isAt(this.path, 'GET')) this.#open(answer);
    else if (isAt(this.#page, 'GET')) this.#show(answer, 200, '');
    else if (isAt(this.#begin, 'GET') && 'html' in start) send(answer, 200, start.html, FOREIGN_POLICY);
    else if (isAt(this.#page, 'POST')) await this.#take(asked, answer, brought);
    else send(answer, 404, '', OWN_POLICY);
  }

  #open(answer: ServerResponse): void {
    if (this.#isOpened) throw new PeerRefusedError(OPENED_TWICE);
    this.#isOpened = true;
    answer.setHeader('Location', this.#page);
    send(answer, 303, '', OWN_POLICY);
  }

  async #take(asked: IncomingMessage, answer: ServerResponse, brought: (text: string) => void): Promise<void> {
    const form = await bodyOf(asked);
    const copied = form === undefined ? '' : (new Map(parseForm(form)).get('copied') ?? '');
    if (this.#request.isAnswer(copied)) {
      send(answer, 200, page('Logged in', '<p>You are logged in. You may close this page.</p>'), OWN_POLICY, () => brought(copied));
    } else {
      this.#show(answer, 400, '<p><b>That is not it. Look again, and copy all of it.</b></p>');
    }
  }

  #show(answer: ServerResponse, status: number, word: string): void {
    const { start, gateway, instruction } = this.#request;
    const title = `Log in to ${escapedText(gateway)}`;
    const link = escapedAttribute('url' in start ? start.url : this.#begin);
    const form = `<form method="post"><p><textarea name="copied" autocomplete="off" required></textarea></p><p><button>Go on</button></p></form>`;
    const text = `<p>1. <a href="${link}" target="_blank" rel="noreferrer">Log in</a></p><p>2. ${escapedText(instruction)}</p><p>3. Paste it here:</p>`;
    send(answer, status, page(title, `${word}${text}${form}`), OWN_POLICY);
  }
}

function secretPath(): string {
  return `/${randomBytes(TOKEN_BYTES).toString('hex')}`;
}

function page(title: string, body: string): string {
  return `<!doctype html><meta charset="utf-8"><title>${title}</title><style>${STYLE}</style><h1>${title}</h1>${body}\n`;
}

function send(answer: ServerResponse, status: number, html: string, policy: string, sent?: () => void): void {
  answer.writeHead(status, {
    ...{ 'Content-Type': 'text/html; charset=utf-8', Connection: 'close', 'Cache-Control': 'no-store' },
    ...{ 'Content-Security-Policy': policy, 'Referrer-Policy': 'no-referrer', 'X-Content-Type-Options': 'nosniff' },
  });
  answer.end(html, sent);
}

/** Undefined: it is too large. */
async function bodyOf(asked: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of asked as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_FORM) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
