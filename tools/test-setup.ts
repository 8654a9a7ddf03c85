/** Installs the peers that the tests run against: Debian's packages, as root. Elsewhere it says what is missing and goes on. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Each package with what the tests use it for. */
const PACKAGES: Readonly<Record<string, string>> = {
  ocserv: 'the gateway that the client is tested against',
  openconnect: 'the client whose behaviour and figures are compared',
  'vpnc-scripts': 'the network script that the drop-in runs',
  iproute2: 'network namespaces',
  tcpdump: 'packets as they passed, for checksums and order',
  'iputils-ping': 'ping through tunnels',
  nftables: 'blocked UDP and plain loss',
  iperf3: 'throughput',
  openssl: 'throw-away certificates, and a DTLS peer',
  procps: 'process figures',
  curl: 'an HTTP client for our codec and our log-in schemes',
};

function isInstalled(name: string): boolean {
  try {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format.
    const status = execFileSync('dpkg-query', ['-W', '-f', '${Status}', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return status.includes('install ok installed');
  } catch {
    return false; // dpkg does not know it
  }
}

function main(): void {
  const wanted = Object.entries(PACKAGES);
  if (process.platform !== 'linux' || !existsSync('/etc/debian_version') || process.getuid?.() !== 0) {
    console.log('The tests against real peers need root on Debian. They will be skipped here; all others run.');
    console.log(`They use: ${wanted.map(([name]) => name).join(', ')}.`);
    return;
  }
  const absent = wanted.filter(([name]) => !isInstalled(name));
  if (absent.length === 0) {
    console.log('All peers that the tests use are installed.');
    return;
  }
  console.log('Installing, for the tests:');
  for (const [name, purpose] of absent) console.log(`  ${name}: ${purpose}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['update', '-q'], { stdio: 'inherit', env: environment });
  execFileSync('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...absent.map(([name]) => name)], {
    stdio: 'inherit',
    env: environment,
  });
}

main();
