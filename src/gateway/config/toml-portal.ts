/** The table `portal` of `gateway.toml`: gateways that clients are told of before they come to one. */
import { z } from 'zod';
import type { ListedGateway } from '../../core/protocols/gateway-protocol.ts';
import type { PortalConfig } from './gateway-config.ts';
import { listedGateway, MAX_LISTED_GATEWAYS, MAX_PASS_TIME, MAX_PRIORITY, MIN_REPORT_INTERVAL } from './portal-config.ts';
import { given } from './toml-server.ts';
import { duration, network, path, table, text } from './toml-values.ts';

const MAX_REGIONS = 256;
const MAX_NETWORKS = 4096;

const region = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}$/, 'a region was expected, like "DE"');
const priority = z.int().min(1).max(MAX_PRIORITY);

const gateways: z.ZodType<readonly ListedGateway[]> = z
  .array(
    z.union([
      text.transform((address) => ({ address })),
      table({ address: text, label: text.optional(), priority: priority.optional(), regions: z.record(region, priority).optional() }),
    ]),
  )
  .max(MAX_LISTED_GATEWAYS)
  .transform((all, context) => {
    const listed: ListedGateway[] = [];
    for (const [i, { address, ...more }] of all.entries()) {
      const { label, priority: own, regions = {} } = { label: undefined, priority: undefined, ...more };
      const gateway = listedGateway(listed, { address, ...(label !== undefined && { label }) });
      if (typeof gateway === 'string') context.addIssue({ code: 'custom', path: [i], message: gateway });
      else listed.push({ ...gateway, ...(own !== undefined && { priority: own }), regions: Object.entries(regions) });
    }
    return listed;
  });

export type WrittenPortal = Partial<PortalConfig> & { readonly isEnabled?: boolean };

export const portalTable: z.ZodType<WrittenPortal> = table({
  enabled: z.boolean().optional(),
  name: text.optional(),
  gateways: gateways.optional(),
  regions: z
    .record(region, z.array(network).max(MAX_NETWORKS))
    .refine((all) => Object.keys(all).length <= MAX_REGIONS, `at most ${MAX_REGIONS} regions`)
    .transform((all) => Object.entries(all).map(([name, networks]) => ({ name, networks })))
    .optional(),
  'report-interval': duration.refine((time) => time >= MIN_REPORT_INTERVAL, 'two minutes were expected at least').optional(),
  'pass-time': duration.refine((time) => time > 0 && time <= MAX_PASS_TIME, 'a day was expected at most').optional(),
  'pass-key': path.optional(),
  challenges: z.enum(['xml', 'script']).optional(),
}).transform((portal) =>
  given({
    isEnabled: portal.enabled,
    name: portal.name,
    gateways: portal.gateways,
    regions: portal.regions,
    reportInterval: portal['report-interval'],
    passTime: portal['pass-time'],
    passKey: portal['pass-key'],
    asksBy: portal.challenges,
  }),
);
