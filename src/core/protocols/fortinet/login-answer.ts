/**
 * What a gateway answers to `POST /remote/logincheck`, as text: items with commas between them.
 *
 * Read first: spec "Fortinet", sections 2.3 and 2.4. Whether the client is in, its cookie says, not this text.
 *
 *   ret=1,redir=/remote/fortisslvpn_xml                                        in
 *   ret=0,redir=/remote/login?&err=sslvpn_login_permission_denied&lang=en      refused
 *   ret=2,reqid=1,polid=1-1-9,grp=G,portal=P,magic=1-5,tokeninfo=,chal_msg=…   a code, please
 */
import { printable } from '../../wire/text.ts';

export type LoginAnswer =
  | { readonly type: 'accepted'; readonly redirect?: string }
  | { readonly type: 'refused'; readonly error?: LoginErrorKey }
  | { readonly type: 'code-wanted'; readonly challenge: TokenChallenge }
  /** A challenge whose answer nobody has seen (ret=6), or something new; `shown`: what came, fit for people. */
  | { readonly type: 'unknown'; readonly shown: string };

/** Keys that are known; a gateway may have others. */
export type LoginErrorKey = string;

export const PERMISSION_DENIED: LoginErrorKey = 'sslvpn_login_permission_denied';
export const PASSWORD_EXPIRED: LoginErrorKey = 'sslvpn_login_password_expired';

export interface TokenChallenge {
  /** How the code comes: empty for a token, `ftm_push…`, `email`, `sms`, … */
  readonly tokenInfo: string;
  /** The prompt, where there is one. */
  readonly message?: string;
  /** What the client gives back as it came, in the order it came but for `magic`, which is last. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Spec 2.4: what a challenge's answer repeats. */
const RETURNED: readonly string[] = ['reqid', 'polid', 'grp', 'portal', 'peer', 'magic'];

/** Characters of an answer that are read, and of a text in it that are shown (spec 9). */
const MAX_ANSWER_LENGTH = 16_384;
const MAX_TEXT_LENGTH = 1000;

/** The answer of a body; undefined if it is none: it does not begin with `ret=`. */
export function parseLoginAnswer(body: string): LoginAnswer | undefined {
  const text = body.slice(0, MAX_ANSWER_LENGTH).trim();
  if (!text.startsWith('ret=')) return undefined;
  const items = text.split(/[,\r\n]+/).flatMap((item) => {
    const equals = item.indexOf('=');
    return equals < 0 ? [] : [[item.slice(0, equals).trim(), item.slice(equals + 1)] as const];
  });
  const value = (name: string) => items.find(([other]) => other === name)?.[1];
  const redirect = value('redir');
  switch (value('ret')) {
    case '1':
      return { type: 'accepted', ...(redirect !== undefined && { redirect }) };
    case '0': {
      const error = /[?&]err=([a-z0-9_]+)/i.exec(redirect ?? '')?.[1];
      return { type: 'refused', ...(error !== undefined && { error }) };
    }
    default:
      return value('tokeninfo') === undefined
        ? { type: 'unknown', shown: shownItems(items) }
        : { type: 'code-wanted', challenge: challengeOf(items) };
  }
}

function challengeOf(items: readonly (readonly [string, string])[]): TokenChallenge {
  const value = (name: string) => items.find(([other]) => other === name)?.[1];
  const fields = items.filter(([name], i) => RETURNED.includes(name) && items.findIndex(([other]) => other === name) === i);
  const message = printable(value('chal_msg') ?? '').slice(0, MAX_TEXT_LENGTH);
  return {
    tokenInfo: value('tokeninfo') ?? '',
    ...(message !== '' && { message }),
    fields: [...fields.filter(([name]) => name !== 'magic'), ...fields.filter(([name]) => name === 'magic')],
  };
}

/** Names and texts of what came; what stands for the log-in itself is left out. */
function shownItems(items: readonly (readonly [string, string])[]): string {
  const shown = items.map(([name, value]) => (['magic', 'reqid'].includes(name) ? `${name}=…` : `${name}=${value}`));
  return printable(shown.join(',')).slice(0, MAX_TEXT_LENGTH);
}

export function renderAccepted(redirect: string): string {
  return `ret=1,redir=${redirect}`;
}

export function renderRefused(error: LoginErrorKey): string {
  return `ret=0,redir=/remote/login?&err=${error}&lang=en`;
}

/** Spec 9: no comma in a text, which would end it. */
export function renderCodeWanted({ tokenInfo, message, fields }: TokenChallenge): string {
  const items = [['ret', '2'], ...fields, ['tokeninfo', tokenInfo], ...(message === undefined ? [] : [['chal_msg', message]])];
  return items.map(([name = '', value = '']) => `${name}=${value.replace(/[,\s]+/g, ' ').trim()}`).join(',');
}
