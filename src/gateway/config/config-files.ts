/** Looks at the files and accounts that a configuration names, so that what is missing is said at start and not at the first log-in. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import type { Secret } from '../../core/secret.ts';
import { isKnownAccount } from '../../node/ffi/accounts.ts';
import { networkNamespaceFile, noNetworkNamespace } from '../../node/network-namespace-file.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { type ConfigReport, type Place, WHOLE_FILE } from './config-report.ts';
import type { AuthMethod, CertificatePair, GatewayConfig, HostConfig } from './gateway-config.ts';
import { keyPasswordIn } from './key-password.ts';

/**
 * A gateway without its certificate and key is no use, nor one that cannot start without what is named: errors. All other files can come later: warnings.
 * `text`: the configuration as written, in which the places of the names are found.
 */
export async function checkFiles(config: GatewayConfig, text: string, report: ConfigReport): Promise<void> {
  const lines = text.split('\n');
  const complaints: Complaints = {
    error: (file, message) => report.error(placeOf(file, lines), message),
    warning: (file, message) => report.warning(placeOf(file, lines), message),
  };
  checkAccounts(config, lines, report);
  await checkPlaces(config, complaints);
  const seen = new Set<string>();
  for (const host of config.hosts) {
    for (const pair of host.tls.certificates) await checkPair(pair, complaints);
    for (const [what, file] of neededFiles(host)) {
      if (seen.has(file)) continue;
      seen.add(file);
      const trouble = (await unreadable(file)) ?? ((await stat(file)).isDirectory() ? 'Is a directory' : undefined);
      if (trouble !== undefined) complaints.error(file, `${what} '${file}' cannot be read: ${trouble}`);
    }
    for (const [what, file] of laterFiles(host, config)) {
      if (seen.has(file)) continue;
      seen.add(file);
      const trouble = await unreadable(file);
      if (trouble !== undefined) complaints.warning(file, `${what} '${file}' cannot be read: ${trouble}`);
    }
  }
}

/** Where workers are shut in, and where sockets are opened. */
async function checkPlaces({ processes: { chroot }, listen: { networkNamespace } }: GatewayConfig, complaints: Complaints): Promise<void> {
  if (chroot !== undefined) {
    const trouble = await stat(chroot).then((found) => (found.isDirectory() ? undefined : 'Not a directory'), systemErrorText);
    if (trouble !== undefined) complaints.error(chroot, `the root folder of the workers '${chroot}' cannot be used: ${trouble}`);
  }
  if (networkNamespace !== undefined && (await unreadable(networkNamespaceFile(networkNamespace))) !== undefined) {
    complaints.error(networkNamespace, noNetworkNamespace(networkNamespace));
  }
}

/** Observed: ocserv refuses names that the system does not know, in these words, with -t as well. */
function checkAccounts({ processes }: GatewayConfig, lines: readonly string[], report: ConfigReport): void {
  for (const kind of ['user', 'group'] as const) {
    if (isKnownAccount(kind, processes[kind])) continue;
    const index = lines.findIndex((line) => new RegExp(`^\\s*(?:run-as-)?${kind}\\s*=`).test(line));
    report.error({ line: index + 1 }, `unknown ${kind}: ${processes[kind]}`);
  }
}

interface Complaints {
  error(file: string, message: string): void;
  warning(file: string, message: string): void;
}

/** The first line that names the file and is no comment. */
function placeOf(file: string, lines: readonly string[]): Place {
  const index = lines.findIndex((line) => {
    const end = line.indexOf(file) + file.length;
    return !/^\s*[#;]/.test(line) && line.includes(file) && !/[\w./-]/.test(line[end] ?? '');
  });
  return index < 0 ? WHOLE_FILE : { line: index + 1 };
}

/** What main reads for the workers. Without authority or list nobody could say who may come in. */
function neededFiles({ tls, login }: HostConfig): NamedFile[] {
  return onlyNamed([
    ['the authority of client certificates', tls.clientAuthority],
    ['the revocation list', tls.revocationList],
    ['the profile', login.profile],
    ...tls.certificates.map(({ pinFile }) => ["the file of the key's password", pinFile] as const),
  ]);
}

function laterFiles({ tls, auth, portal, supplements }: HostConfig, { scripts }: GatewayConfig): NamedFile[] {
  return onlyNamed([
    ['the OCSP response', tls.ocspResponse],
    ['the key of passes', portal?.passKey],
    ['the folder of files for users', supplements.userFolder],
    ['the folder of files for groups', supplements.groupFolder],
    ['the default file for users', supplements.defaultUserFile],
    ['the default file for groups', supplements.defaultGroupFile],
    ['the connect script', scripts.connect],
    ['the disconnect script', scripts.disconnect],
    ['the host update script', scripts.hostUpdate],
    ...[...auth.required, ...auth.alternatives].flatMap(filesOfMethod),
    ...(auth.accounting?.method === 'radius' ? [['the RADIUS configuration', auth.accounting.radius.file] as const] : []),
  ]);
}

type NamedFile = readonly [what: string, file: string];

function onlyNamed(files: readonly (readonly [what: string, file: string | undefined])[]): NamedFile[] {
  return files.flatMap(([what, file]) => (file === undefined ? [] : [[what, file] as const]));
}

function filesOfMethod(method: AuthMethod): (readonly [string, string | undefined])[] {
  switch (method.method) {
    case 'plain':
      return [
        ['the password file', method.passwordFile],
        ['the file of one-time passwords', method.otpFile],
      ];
    case 'radius':
      return [['the RADIUS configuration', method.radius.file]];
    case 'oidc':
      return [['the OIDC configuration', method.file]];
    default:
      return [];
  }
}

async function unreadable(file: string): Promise<string | undefined> {
  try {
    await access(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return systemErrorText(error);
  }
}

async function checkPair({ certificate, key, pinFile, pin }: CertificatePair, complaints: Complaints): Promise<void> {
  const chain = await readNamed('certificate', certificate, complaints);
  const secret = await readNamed('key', key, complaints);
  if (chain === undefined || secret === undefined) return;
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(chain);
  } catch {
    complaints.error(certificate, `'${certificate}' is no certificate in PEM`);
    return;
  }
  const isProtected = /ENCRYPTED/.test(secret.toString('latin1'));
  const password = isProtected ? (pin ?? (await passwordIn(pinFile))) : undefined;
  if (isProtected && password === undefined) {
    // A file of a password that cannot be read is said with the other files.
    if (pinFile === undefined) complaints.error(key, `the key '${key}' is encrypted: name the file of its password`);
    return;
  }
  try {
    const own = createPrivateKey({ key: secret, ...(password !== undefined && { passphrase: password.reveal() }) });
    if (!leaf.checkPrivateKey(own)) complaints.error(key, `the key '${key}' does not belong to '${certificate}'`);
  } catch {
    complaints.error(
      key,
      isProtected ? `the key '${key}' has another password than the one that is given` : `'${key}' is no private key in PEM`,
    );
  }
}

async function passwordIn(file: string | undefined): Promise<Secret | undefined> {
  try {
    return file === undefined ? undefined : keyPasswordIn(await readFile(file, 'utf8'));
  } catch {
    return undefined; // as above
  }
}

async function readNamed(what: string, file: string, complaints: Complaints): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    complaints.error(file, `cannot open file '${file}' (the ${what}): ${systemErrorText(error)}`);
    return undefined;
  }
}
