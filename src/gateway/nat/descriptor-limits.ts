/** Each flow of a client has a descriptor, and they shall not have all of the process's: others are for clients who log in. */
import type { NatLimits } from '../../core/nat/limits.ts';

/** Of the descriptors that this process may have: the part of clients' flows, and of it the part of one session. */
const SHARE_OF_FLOWS = 3 / 4;
const SHARE_OF_SESSION = 1 / 4;

/** The limits, made smaller where there are not so many descriptors. @param descriptors that this process may have; undefined: nobody knows */
export function withinDescriptors(limits: NatLimits, descriptors: number | undefined): NatLimits {
  const most = Math.floor((descriptors ?? Number.POSITIVE_INFINITY) * SHARE_OF_FLOWS);
  if (limits.flows <= most) return limits;
  return { ...limits, flows: most, flowsPerSession: Math.min(limits.flowsPerSession, Math.max(1, Math.floor(most * SHARE_OF_SESSION))) };
}

/** How many descriptors this process may have; undefined: without a limit, or the system does not say. */
export function descriptorLimit(): number | undefined {
  Object.assign(process.report, { excludeNetwork: true }); // it would ask name servers; the types do not know it yet
  const { userLimits } = process.report.getReport() as { readonly userLimits?: { readonly open_files?: { readonly soft: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : undefined; // else "unlimited"
}
