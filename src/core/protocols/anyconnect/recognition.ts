/** How an AnyConnect gateway is known: it answers a document with a document (spec "AnyConnect", sections 3.1 and 3.10). */
import { type HttpResponse, headerValue, headerValues } from '../../http/message.ts';
import { formatUrl, hostHeader } from '../../http/url.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { type Finding, NOTHING, type Recogniser } from '../recogniser.ts';
import { renderClientDocument } from './client-document.ts';

const CLIENT = { userAgent: 'Open AnyConnect VPN Agent v9.01', version: 'v9.01', os: 'linux-64', localHostname: '' } as const;

export const anyconnectRecogniser: Recogniser = {
  protocol: 'anyconnect',
  judgeEntry: (answer) => {
    const location = headerValue(answer.headers, 'Location') ?? '';
    if (location.includes('/+CSCO')) return { certainty: 'certain', sign: 'it sends browsers to /+CSCO…' };
    return judge(answer);
  },
  request: (target) => {
    const { text } = renderClientDocument({ type: 'init', capabilities: [], groupAccess: formatUrl(target) }, CLIENT);
    const body = utf8(text);
    return {
      method: 'POST',
      target,
      headers: [
        ['Host', hostHeader(target)],
        ['User-Agent', CLIENT.userAgent],
        ['Accept', '*/*'],
        ['Accept-Encoding', 'identity'],
        ['X-Transcend-Version', '1'],
        ['X-Aggregate-Auth', '1'],
        ['Content-Type', 'application/xml; charset=utf-8'],
        ['Content-Length', String(body.length)],
      ],
      body,
      shownBody: text,
    };
  },
  judge,
};

function judge({ headers, body }: HttpResponse): Finding {
  if (fromUtf8(body).includes('<config-auth ')) return { certainty: 'certain', sign: 'it answers with a config-auth document' };
  if (headerValue(headers, 'X-Transcend-Version') !== undefined) return { certainty: 'certain', sign: 'it sends X-Transcend-Version' };
  if (headerValues(headers, 'Set-Cookie').some((cookie) => /^webvpn/i.test(cookie)))
    return { certainty: 'likely', sign: 'it sets a cookie webvpn…' };
  return NOTHING;
}
