/** Requests as GlobalProtect's clients make them (spec "GlobalProtect", section 2.1). */
import type { LoginIo, Target } from '../../auth/login-io.ts';
import type { ClientIdentification } from '../client-protocol.ts';
import { PageHttp } from '../page-http.ts';
import { USER_AGENT } from './paths.ts';

export class GpHttp extends PageHttp {
  constructor(io: LoginIo, place: Target, { chosenUserAgent }: ClientIdentification) {
    super(io, place, chosenUserAgent ?? USER_AGENT);
  }
}

/** The platform in the vendor's two ways of writing it (spec 3.1 and 5.1). */
export function platformOf({ os }: ClientIdentification): { readonly clientos: 'Linux' | 'Mac' | 'Windows'; readonly osVersion: string } {
  if (os.startsWith('mac') || os.startsWith('apple')) return { clientos: 'Mac', osVersion: os };
  return { clientos: os.startsWith('win') ? 'Windows' : 'Linux', osVersion: os };
}
