/** How a Pulse gateway is known: it leaves HTTP for IF-T/TLS (spec "Pulse", section 2). */
import { type HttpResponse, headerValue } from '../../http/message.ts';
import { hostHeader } from '../../http/url.ts';
import { type Finding, NOTHING, type Recogniser } from '../recogniser.ts';
import { upgradeHeaders } from './upgrade.ts';

/** Spec 2: some appliances treat clients by their names; this is nobody's. */
const USER_AGENT = 'Mozilla/5.0 (compatible; Sallyport)';

export const pulseRecogniser: Recogniser = {
  protocol: 'pulse',
  judgeEntry: () => NOTHING, // its pages are also those of gateways for other clients
  request: (target) => ({ method: 'GET', target, headers: upgradeHeaders(hostHeader(target), USER_AGENT) }),
  judge: ({ status, headers }: HttpResponse): Finding =>
    status === 101 && /\bIF-T\/TLS\b/i.test(headerValue(headers, 'Upgrade') ?? '')
      ? { certainty: 'certain', sign: 'it leaves HTTP for IF-T/TLS' }
      : NOTHING,
};
