/**
 * Log-ins as Cisco's gateways and ocserv lead them, each a script with how it ends. Our log-in goes through all of them; so does the real
 * openconnect 9.01, which is where the expectations come from.
 */
import { CERTIFICATE_FLOWS } from './certificates.ts';
import { ENDING_FLOWS } from './endings.ts';
import type { LoginFlow } from './flow.ts';
import { FORM_FLOWS } from './forms.ts';
import { GROUP_FLOWS } from './groups.ts';
import { HOST_SCAN_FLOWS } from './host-scans.ts';
import { PLACE_FLOWS } from './places.ts';
import { WITHOUT_XML_FLOWS } from './without-xml.ts';

/** By subject. */
export const LOGIN_FLOWS: Readonly<Record<string, readonly LoginFlow[]>> = {
  'forms and their answers': FORM_FLOWS,
  'how a log-in ends': ENDING_FLOWS,
  'where requests go': PLACE_FLOWS,
  groups: GROUP_FLOWS,
  'gateways without XML': WITHOUT_XML_FLOWS,
  certificates: CERTIFICATE_FLOWS,
  'host scans': HOST_SCAN_FLOWS,
};
