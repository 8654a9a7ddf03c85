/**
 * What the proxy's port says about itself, without a password: nothing of it is secret, and nobody else's web page can read it.
 *
 *   /healthz     200 while the tunnel is up, else 503
 *   /metrics     figures for Prometheus
 *   /proxy.pac   for browsers
 */
import { parseIp } from '../../core/wire/ip-address.ts';
import type { VpnStatus } from '../vpn-status.ts';
import type { ProxyPage, ProxyPages } from './http-proxy.ts';
import { renderPac } from './pac.ts';
import type { ProxyCounters } from './proxy-counters.ts';
import { METRICS_CONTENT_TYPE, renderProxyMetrics } from './proxy-metrics.ts';
import type { RouteRules } from './route-rules.ts';

export interface PageParts {
  readonly status: () => VpnStatus;
  readonly rules: () => RouteRules;
  readonly counters: ProxyCounters;
}

const WRONG_NAME: ProxyPage = { status: 421, type: 'text/plain', body: 'Ask by an address, or by a name without dots.\n' };

export function proxyPages({ status, rules, counters }: PageParts): ProxyPages {
  return async (path, host) => {
    if (host === undefined || !isOurName(host)) return WRONG_NAME;
    switch (path) {
      case '/healthz': {
        const { state } = status();
        return { status: state === 'up' ? 200 : 503, type: 'text/plain', body: `${state}\n` };
      }
      case '/metrics':
        return { status: 200, type: METRICS_CONTENT_TYPE, body: await renderProxyMetrics(status(), counters) };
      case '/proxy.pac':
        return { status: 200, type: 'application/x-ns-proxy-autoconfig', body: renderPac(rules(), host) };
      default:
        return undefined;
    }
  };
}

/**
 * Whether a field Host is one that this port can have been asked by: an address, or a name without a dot (localhost, a container). A web page whose
 * own name was made to lead here (DNS rebinding) is thereby told apart: it has a domain.
 */
function isOurName(host: string): boolean {
  const [, bracketed, plain = ''] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{1,5})?$/i.exec(host) ?? [];
  return parseIp(bracketed ?? plain) !== undefined || (plain !== '' && !plain.includes('.'));
}
