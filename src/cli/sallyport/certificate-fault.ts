/** Why a certificate is doubtful, in plain words. */
import { printable } from '../../core/wire/text.ts';

/** `fault`: in the library's words, which are openconnect's. Continues a sentence about the certificate. */
export function certificateFaultText(fault: string): string {
  return (Object.hasOwn(FAULTS, fault) ? FAULTS[fault] : undefined) ?? printable(fault);
}

const FAULTS: Readonly<Record<string, string>> = {
  'signer not found': 'no authority that this machine trusts has signed it',
  'signer not a CA certificate': 'whoever signed it is no authority',
  'certificate does not match hostname': 'it was made out to another name',
  'certificate is not for servers': 'it is not meant for a server',
  'certificate expired': 'it has expired',
  'certificate not yet activated': 'it is not valid yet',
  'certificate revoked': 'it was revoked',
  'signature verification failed': 'its signature is wrong',
  'insecure algorithm': 'it relies on an algorithm that is too weak',
};
