/** How a Network Connect gateway is known: by where its log-in is, and by its cookies (spec "Juniper NC", sections 2.3 and 3.1). */
import { type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { hostHeader } from '../../http/url.ts';
import { fromUtf8 } from '../../wire/text.ts';
import { type Finding, NOTHING, type Recogniser } from '../recogniser.ts';
import { LOGIN_FORM } from './login-page.ts';
import { PATHS } from './paths.ts';
import { POLICY_COOKIE, URL_COOKIE } from './session-cookie.ts';

const ENTRY = /\/dana-na\/auth\/(url_[\w-]+\/)?welcome\.cgi/;

export const ncRecogniser: Recogniser = {
  protocol: 'nc',
  judgeEntry: (answer) => {
    const location = headerValue(answer.headers, 'Location') ?? '';
    if (ENTRY.test(location)) return { certainty: 'certain', sign: 'it sends browsers to /dana-na/auth/…/welcome.cgi' };
    return judgeCookies(answer);
  },
  request: (target) => ({
    method: 'GET',
    target: { ...target, path: PATHS.welcome },
    headers: [
      ['Host', hostHeader(target)],
      ['User-Agent', 'Mozilla/5.0 (compatible; Sallyport)'],
    ],
  }),
  judge: (answer) => {
    const byCookies = judgeCookies(answer);
    if (byCookies.certainty !== 'no') return byCookies;
    const isLogin = answer.status === 200 && new RegExp(`name="${LOGIN_FORM}"`).test(fromUtf8(answer.body));
    return isLogin ? { certainty: 'certain', sign: `it has a form ${LOGIN_FORM} at ${PATHS.welcome}` } : NOTHING;
  },
};

function judgeCookies({ headers }: HttpResponse): Finding {
  const cookies = headerValues(headers, 'Set-Cookie');
  const name = [POLICY_COOKIE, URL_COOKIE].find((known) => cookies.some((cookie) => cookie.startsWith(`${known}=`)));
  return name === undefined ? NOTHING : { certainty: 'certain', sign: `it sets a cookie ${name}` };
}
