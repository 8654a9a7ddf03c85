/** How a GlobalProtect portal or gateway is known: by its answer to the first request of a client (spec "GlobalProtect", section 3). */
import { type HttpResponse, headerValue } from '../../http/message.ts';
import { hostHeader } from '../../http/url.ts';
import { fromUtf8 } from '../../wire/text.ts';
import { type Finding, NOTHING, type Recogniser } from '../recogniser.ts';
import { CLIENT_VERSION, PATHS, USER_AGENT } from './paths.ts';

export const gpRecogniser: Recogniser = {
  protocol: 'gp',
  judgeEntry: ({ headers }) =>
    (headerValue(headers, 'Location') ?? '').includes('/global-protect/')
      ? { certainty: 'certain', sign: 'it sends browsers to /global-protect/' }
      : NOTHING,
  request: (target) => ({
    method: 'GET',
    target: { ...target, path: `${PATHS.prelogin}?tmp=tmp&clientVer=${CLIENT_VERSION}&clientos=Linux` },
    headers: [
      ['Host', hostHeader(target)],
      ['User-Agent', USER_AGENT],
    ],
  }),
  judge,
};

function judge({ status, body }: HttpResponse): Finding {
  return status === 200 && fromUtf8(body).includes('<prelogin-response>')
    ? { certainty: 'certain', sign: 'it answers <prelogin-response>' }
    : NOTHING;
}
