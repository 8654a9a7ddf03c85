/** One log-in as a script with its end, and the words that many scripts use. */
import type { HttpHeaders } from '../../../src/core/http/message.ts';
import { Secret } from '../../../src/core/secret.ts';
import { password, text } from '../forms.ts';
import { ask, type Step } from '../login-script.ts';

export interface LoginFlow {
  /** A sentence about behaviour. */
  readonly name: string;
  /** Where the person points the client. Default: `/`. */
  readonly path?: string;
  readonly steps: readonly Step[];
  /** How our log-in fails; absent: it ends with the cookie `SESSION`, or this one. */
  readonly failure?: RegExp;
  readonly session?: string;
  readonly usesXml?: boolean;
  readonly hasClientCertificate?: boolean;
  /** openconnect does it only as root. */
  readonly needsRoot?: boolean;
  /** What openconnect is told so that it answers the same. Absent: it does something else, and the comment in the flow says what. */
  readonly openconnect?: { readonly args?: readonly string[]; readonly stdin?: string };
}

export const USERNAME = '<input type="text" name="username" label="username:"/>';
export const PASSWORD = '<input type="password" name="password" label="Password:"/>';

/** `auth` with a form that goes to /auth. */
export function formOf(inputs: string, { id = 'main', texts = '', attributes = 'method="post" action="/auth"' } = {}): string {
  return `<auth id="${id}">${texts}<form ${attributes}>${inputs}</form></auth>`;
}

export function submit(values: Readonly<Record<string, string | Secret>>): {
  type: 'submit';
  values: Readonly<Record<string, string | Secret>>;
} {
  return { type: 'submit', values };
}

export const PW = new Secret('p<w&"');
/** As XML writes it. */
export const PW_TEXT = 'p&lt;w&amp;"';
export const STDIN = 'p<w&"\n';
export const ALICE = { args: ['--user=alice'], stdin: STDIN };

export const askUser = ask({ id: 'main', fields: [text('username')] }, submit({ username: 'alice' }));
export const askPassword = ask({ fields: [password()] }, submit({ password: PW }));
export const askBoth = ask({ fields: [text('username'), password()] }, submit({ username: 'alice', password: PW }));
export const BOTH = `<auth><username>alice</username><password>${PW_TEXT}</password></auth>`;

/** The header that sets a cookie. */
export function setting(cookie: string): HttpHeaders {
  return [['Set-Cookie', cookie]];
}

/** The field that chooses a group. */
export function groupSelect(options: string): string {
  return `<select name="group_list" label="GROUP:">${options}</select>`;
}

/** Two groups, of which the first is chosen. */
export const GROUPS = groupSelect('<option value="ga" selected="true">Group A</option><option value="gb">Group B</option>');
