/**
 * A log-in at an Array gateway: one form, which is posted without ever being fetched.
 *
 * Read first: spec "Array", sections 2.1 and 2.2.
 *
 *   method, name, password ─► POST login ─┬─ redirects ─► 200 and a cookie ANsession… ─► in
 *        ▲                                └─ sent back to a login page, or no cookie ──┐
 *        └───────────────────────────────────── three times ────────────────────────────┘
 */
import type { FormValues } from '../../auth/form.ts';
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import { pathOf } from '../../http/request-target.ts';
import type { Secret } from '../../secret.ts';
import { fromUtf8, printable } from '../../wire/text.ts';
import { PageHttp } from '../page-http.ts';
import { PATHS } from './paths.ts';
import { renderSessionCookie } from './session-cookie.ts';

const MAX_TRIES = 3;
const MAX_REASON_LENGTH = 200;

/** As `--form-entry` names it (spec 2.1). */
const FORM_ID = 'form';

/** Rejects as `ClientProtocol.login` does. */
export async function login(io: LoginIo, target: Target, userAgent: string): Promise<Credential> {
  const http = new PageHttp(io, target, userAgent);
  let error: string | undefined;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const cookie = await submit(io, http, await ask(io, error));
    if (cookie !== undefined) {
      const { remote, pin } = io.connection();
      return { protocol: 'array', gateway: { ...http.place, path: '/' }, address: remote.address, pin, cookie };
    }
    error = await reasonOf(http);
    io.log.log('info', 'log-in refused', { reason: error });
    http.restart(target);
  }
  throw new PeerRefusedError(error ?? 'The gateway refused the log-in.');
}

async function ask(io: LoginIo, error: string | undefined): Promise<FormValues> {
  const answer = await io.ask({
    id: FORM_ID,
    ...(error !== undefined && { error }),
    fields: [
      // Which methods there are, nobody is told; a site with one takes none (spec 2.1).
      { kind: 'text', name: 'method', label: 'authgroup:', isGroup: true },
      { kind: 'text', name: 'uname', label: 'username:' },
      { kind: 'password', name: 'pwd', label: 'password:' },
    ],
  });
  if (answer.type === 'submit') return answer.values;
  throw new CancelledError();
}

/** The session's cookies; undefined: the gateway does not take what was said. */
async function submit(io: LoginIo, http: PageHttp, { method = '', uname = '', pwd = '' }: FormValues): Promise<Secret | undefined> {
  const form = { ...http.place, path: PATHS.login };
  const body = encodeForm([
    ['method', method],
    ['uname', uname],
    ['pwd', pwd],
  ]);
  const { status, reason, body: page } = await http.submit(form, body, 'method=…&uname=…&pwd=…');
  // Some set a cookie before anybody is in, so that where it leads counts more (spec 2.2).
  const isSentBack = http.place !== form && pathOf(http.place.path).includes('/login');
  if (isSentBack) return undefined;
  if (status === 401 || status === 403) return undefined;
  if (status !== 200) throw new PeerMisbehavedError(`The gateway answered the log-in with ${status} ${printable(reason)}.`);
  if (page.length === 0) io.log.log('debug', 'log-in answered with nothing');
  return page.length === 0 ? undefined : renderSessionCookie(http.jar);
}

/** What the gateway's own script says of it, where it has one. */
async function reasonOf(http: PageHttp): Promise<string> {
  try {
    const { status, body } = await http.get(PATHS.loginScript);
    const reason = status === 200 ? parseLoginScript(fromUtf8(body)) : undefined;
    if (reason !== undefined) return reason;
  } catch (error) {
    if (!(error instanceof SallyportError) || error instanceof CancelledError) throw error; // else: it was worth a try
  }
  return 'The gateway refused the user name, the password or the group.';
}

/** The message in the script of a login page, fit for a terminal; undefined if there is none. */
export function parseLoginScript(script: string): string | undefined {
  const text = /_AN_str_errormsg_login\s*=\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)')/.exec(script);
  const reason = printable(text?.[1] ?? text?.[2] ?? '').trim();
  return reason === '' ? undefined : reason.slice(0, MAX_REASON_LENGTH);
}
