/** How an Array gateway is known: by the notation of its own pages (spec "Array", sections 1, 2 and 7). */
import { type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { hostHeader } from '../../http/url.ts';
import { fromUtf8 } from '../../wire/text.ts';
import { type Finding, NOTHING, type Recogniser } from '../recogniser.ts';
import { OWN_PAGES, PATHS } from './paths.ts';
import { isSessionCookie } from './session-cookie.ts';

export const arrayRecogniser: Recogniser = {
  protocol: 'array',
  judgeEntry: judge,
  request: (target) => ({
    method: 'GET',
    target: { ...target, path: PATHS.login },
    headers: [['Host', hostHeader(target)]],
  }),
  judge,
};

function judge({ status, headers, body }: HttpResponse): Finding {
  if ((headerValue(headers, 'Location') ?? '').includes(OWN_PAGES))
    return { certainty: 'certain', sign: `it sends browsers to ${OWN_PAGES}…` };
  if (headerValues(headers, 'Set-Cookie').some(isSessionCookie)) return { certainty: 'certain', sign: 'it sets a cookie ANsession…' };
  const text = fromUtf8(body);
  if (status === 200 && text.includes(OWN_PAGES)) return { certainty: 'certain', sign: `its page leads to ${OWN_PAGES}…` };
  if (status === 200 && text.includes('_AN_str_')) return { certainty: 'likely', sign: 'its page has words _AN_str_…' };
  return NOTHING;
}
