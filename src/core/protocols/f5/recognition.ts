/** How a BIG-IP is known: by its cookies, and by where its log-in is (spec "F5", sections 1.2, 2.1 and 2.3). */
import { type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { hostHeader } from '../../http/url.ts';
import { fromUtf8 } from '../../wire/text.ts';
import { type Finding, NOTHING, type Recogniser } from '../recogniser.ts';
import { FORM_ID } from './login-page.ts';
import { PATHS } from './paths.ts';
import { LAST_COOKIE, SESSION_COOKIE } from './session-cookie.ts';

export const f5Recogniser: Recogniser = {
  protocol: 'f5',
  judgeEntry: (answer) => {
    const location = headerValue(answer.headers, 'Location') ?? '';
    if (location.includes(PATHS.policy)) return { certainty: 'certain', sign: `it sends browsers to ${PATHS.policy}` };
    return judgeCookies(answer);
  },
  request: (target) => ({
    method: 'GET',
    target: { ...target, path: PATHS.policy },
    headers: [
      ['Host', hostHeader(target)],
      ['User-Agent', 'Mozilla/5.0 (compatible; Sallyport)'],
    ],
  }),
  judge: (answer) => {
    const byCookies = judgeCookies(answer);
    if (byCookies.certainty !== 'no') return byCookies;
    const isLogin = answer.status === 200 && new RegExp(`id="${FORM_ID}"|appLoader\\.configure`).test(fromUtf8(answer.body));
    return isLogin ? { certainty: 'likely', sign: `it has a log-in form at ${PATHS.policy}` } : NOTHING;
  },
};

function judgeCookies({ headers }: HttpResponse): Finding {
  const cookies = headerValues(headers, 'Set-Cookie');
  const name = [SESSION_COOKIE, LAST_COOKIE].find((known) => cookies.some((cookie) => cookie.startsWith(`${known}=`)));
  return name === undefined ? NOTHING : { certainty: 'certain', sign: `it sets a cookie ${name}` };
}
