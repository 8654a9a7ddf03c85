/** `sallyport doctor HOST`: what the gateway speaks, and by what that is known. */
import { type Recognition, recognise } from '../../client/recognise.ts';
import type { TrustQuestion } from '../../client/server-trust.ts';
import { SallyportError } from '../../core/errors.ts';
import { printable } from '../../core/wire/text.ts';
import { certificateFaultText } from './certificate-fault.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { explainError } from './explanation.ts';
import { EVENTS_VERSION } from './json-events.ts';

export interface GatewayDoctorArguments {
  readonly json?: true;
}

/** What people know each protocol by. */
const TITLES: Readonly<Record<Recognition['protocol'], string>> = {
  anyconnect: 'AnyConnect',
  fortinet: 'Fortinet',
  f5: 'F5',
  gp: 'GlobalProtect',
  nc: 'Network Connect',
  array: 'Array',
  pulse: 'Pulse',
};

const TITLE_COLUMN = Math.max(...Object.values(TITLES).map((title) => title.length));

export async function runGatewayDoctor(host: string, { json }: GatewayDoctorArguments): Promise<ExitCode> {
  let doubt: Doubt | undefined;
  try {
    const recognition = await recognise(host, {
      // Nothing that is anybody's is sent: an unknown certificate is a finding, not an obstacle.
      onCertificate: async ({ fault, pin }) => {
        doubt = { fault, pin };
        return true;
      },
    });
    const gateway = { ...recognition, ...(doubt !== undefined && { certificateFault: doubt.fault, pin: doubt.pin }) };
    process.stdout.write(
      json ? `${JSON.stringify({ v: EVENTS_VERSION, gateway })}\n` : `${gatewayLines(host, recognition, doubt).join('\n')}\n`,
    );
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    const why = explainError(error, 'logging in');
    process.stderr.write(`${why.message}\n`);
    return why.exitCode;
  }
}

/** About the gateway's certificate, and the key that it has all the same. */
type Doubt = Pick<TrustQuestion, 'fault' | 'pin'>;

/** For people. */
export function gatewayLines(host: string, { protocol, certainty, evidence }: Recognition, doubt: Doubt | undefined): string[] {
  const title = TITLES[protocol];
  const [verdict] = {
    certain: [`${host} speaks ${title}.`],
    likely: [`${host} may speak ${title}; name it with --protocol if that is wrong.`],
    no: [`${host} does not say what it speaks. Without --protocol, ${title} is tried.`],
  }[certainty];
  return [
    verdict ?? '',
    ...evidence.map(({ protocol: vendor, request, status, certainty: how, sign }) => {
      const finding = how === 'no' ? 'nothing of it' : `${how}: ${sign}`;
      return printable(`  ${TITLES[vendor].padEnd(TITLE_COLUMN)} ${request} (${status}): ${finding}`);
    }),
    ...(doubt === undefined ? [] : [`Its certificate is not trusted: ${certificateFaultText(doubt.fault)}. Its key is ${doubt.pin}.`]),
  ];
}
