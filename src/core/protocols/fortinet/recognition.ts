/** How a Fortinet gateway is known: by where its log-in is (spec "Fortinet", sections 1.3 and 2.1). */
import { type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { hostHeader } from '../../http/url.ts';
import { fromUtf8 } from '../../wire/text.ts';
import { type Finding, NOTHING, type Recogniser } from '../recogniser.ts';
import { USER_AGENT } from './client-http.ts';
import { PATHS } from './paths.ts';

export const fortinetRecogniser: Recogniser = {
  protocol: 'fortinet',
  judgeEntry: (answer) => {
    const location = headerValue(answer.headers, 'Location') ?? '';
    if (location.includes(PATHS.login)) return { certainty: 'certain', sign: `it sends browsers to ${PATHS.login}` };
    if (fromUtf8(answer.body).includes('top.location="/remote/')) return { certainty: 'certain', sign: 'its page leads to /remote/' };
    return NOTHING;
  },
  request: (target) => ({
    method: 'GET',
    target: { ...target, path: PATHS.login },
    headers: [
      ['Host', hostHeader(target)],
      ['User-Agent', USER_AGENT],
    ],
  }),
  judge,
};

function judge({ status, headers, body }: HttpResponse): Finding {
  const text = fromUtf8(body);
  if (headerValues(headers, 'Set-Cookie').some((cookie) => cookie.startsWith('SVPN')))
    return { certainty: 'certain', sign: 'it sets a cookie SVPN…' };
  if (status === 200 && text.includes(PATHS.loginCheck)) return { certainty: 'certain', sign: `its log-in posts to ${PATHS.loginCheck}` };
  if (status === 200 && /fgt_lang|sslvpn/i.test(text)) return { certainty: 'likely', sign: 'its log-in page speaks of sslvpn' };
  return NOTHING;
}
